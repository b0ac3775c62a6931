/** The words that a student may not know, each explained in a sentence or two where it stands. In a template: data-term="epoch". */

export const GLOSSARY = {
  accuracy: "Share of images whose class the model names rightly. In training it is averaged over the latest images, as the curve is.",
  batch: "The images of one training step: the weights are changed once for all of them.",
  epoch: "One pass over all training images. Epoch 1.5: the model has seen each image once, and half of them twice.",
  flops: "Floating point operations: the multiplications and additions that training takes. At equal FLOPs a large network has seen fewer images than a small one.",
  fork: "A copy of a model with its weights as they are now, which goes on with one setting changed. Both have the same past, so what differs from here on comes from that setting, or from chance.",
  instability: "How much the training loss swings from one group of batches to the next. Large swings often mean that the learning rate is too high.",
  interval: "A range made so that it holds the true value in 95 of 100 such measurements; at 99 %, in 99 of them. Two models whose intervals overlap widely may well be equally good.",
  loss: "How badly the model's probabilities fit the true classes: 0 is perfect, 2.3 is guessing among ten. Training makes it smaller.",
  mcnemar: "A test on the images that just one of two models gets right: were both equally good, each would win about half of those.",
  noise: "How large a difference between two equally good models chance alone would make, on so many images.",
  p: "How often chance alone would make a difference at least as large, were both models equally good. Below 0.05 is usually taken for more than chance; it does not say how large the difference is.",
  rate: "How far each training step moves the weights. Too low learns slowly, too high makes the loss jump or explode.",
  seed: "The number from which every random choice follows: first weights, order of the images, dropout. The same seed and settings give the same run.",
  smoothing: "Each point of a training curve is the average over so many images before it. It shows the trend; the faint line behind it is the loss of each single batch.",
  step: "One update of the weights, from one batch of images.",
  test: "Images that never choose anything: how many the model gets right is counted once the training has ended. Inside and Try it show single ones at any time.",
  validation: "Images that the model does not train on. How well it does on them tells whether it learns or only memorises.",
};

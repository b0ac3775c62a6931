/** The two models as the whole page names, marks and draws them. */

export const MODELS = ["model1", "model2"];

/**
 * Of each its title, the sign beside it, and how its lines look. Where both models' lines lie on each other, the
 * narrow one is seen upon the wide one, and each through the gaps of the other's dashes.
 */
export const LOOKS = {
  model1: { title: "Model 1", sign: "●", symbol: "circle", open: "circle-open", width: 2.4, dash: "7px,4px", wide: 2.2, smallDash: "solid" },
  model2: { title: "Model 2", sign: "◆", symbol: "diamond", open: "diamond-open", width: 1.3, dash: "2px,3px", wide: 1.5, smallDash: "5px,4px" },
};

export const titleOf = (model) => LOOKS[model].title;
/** Return what a model is called within a sentence: "model 1". */
export const nameOf = (model) => titleOf(model).toLowerCase();
/** Return the number that tells a model from the other: "1". */
export const numberOf = (model) => titleOf(model).split(" ").at(-1);
export const signOf = (model) => LOOKS[model].sign;
/** Return the model that a model is compared with. */
export const otherThan = (model) => MODELS.find((each) => each !== model);

/** What the page begins with: both forms can be filled in, on a slow line seconds before its other modules have come. */

import { connectForms } from "./forms.js";
import { connectPast } from "./past.js";
import { connectStatus } from "./status.js";
import { connectView } from "./view.js";

connectView();
connectStatus();
connectPast();
connectForms();

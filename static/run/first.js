/** What the page begins with, on a slow line seconds before the rest of its modules is there: both forms can be filled in. */

import { connectForms } from "./forms.js";
import { connectPast } from "./past.js";
import { connectStatus } from "./status.js";
import { connectView } from "./view.js";

connectView();
connectStatus();
connectPast();
connectForms();

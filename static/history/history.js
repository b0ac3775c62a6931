/** The history, put together. Loaded when its tab comes into sight. */

import { connectChosen } from "./chosen.js";
import { connectDeleted } from "./deleted.js";
import { connectDisk } from "./disk.js";
import { connectFamily } from "./family.js";
import { connectMenu } from "./menu.js";
import { connectTable } from "./table.js";

connectChosen();
connectDeleted();
connectDisk();
connectFamily();
connectMenu();
connectTable();

// Take results home: files that the service makes of a picture, and an archive of all.

import { ask } from "./service.js";

/** Make a file of a picture, and save it under the picture's name. wanted: fields of the service's outputs. */
export async function take(picture, wanted) {
  await picture.work; // edits that are under way
  const file = await (await ask("POST", `/v1/pictures/${picture.id}/output`, wanted)).blob();
  save(file, `${stem(picture)}_${wanted.output}.${wanted.format}`);
}

export async function takeAll(pictures, wanted) {
  await Promise.all(pictures.map((each) => each.work));
  const fields = { ...wanted, ids: pictures.map((each) => each.id), names: pictures.map((each) => `${stem(each)}_${wanted.output}`) };
  save(await (await ask("POST", "/v1/archive", fields)).blob(), "deepmat.zip");
}

export async function fetchUnsure(picture) {
  return createImageBitmap(await (await ask("POST", `/v1/pictures/${picture.id}/output`, { output: "uncertainty", format: "png" })).blob());
}

const stem = (picture) => picture.name.replace(/\.[^.]*$/, "");

function save(file, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

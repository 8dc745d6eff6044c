// Sending a file as a dataset.

import { goToSignIn, Problem } from "./api.js";

/** The files that an upload takes. */
export const ACCEPTED = ".csv,.parquet,.zip,.tar,.gz,.tgz,.npz,text/csv";
const ENDINGS = /\.(csv|parquet|npz|zip|tgz|tar(\.gz)?)$/;

/** The dataset that a file has become; `onPart` hears how much of it is sent, from 0 to 1. By XMLHttpRequest: fetch does not tell how much of a body has gone out. */
export function putFile(id, file, onPart) {
  return new Promise((done, failed) => {
    const request = new XMLHttpRequest();
    request.open("PUT", `/datasets/${encodeURIComponent(id)}?${new URLSearchParams({ name: file.name })}`);
    request.responseType = "json";
    request.upload.onprogress = (event) => event.lengthComputable && onPart(event.loaded / event.total);
    request.onerror = () => failed(new Problem({ detail: "The service does not answer." }));
    request.onload = () => {
      if (request.status === 401) goToSignIn();
      if (request.status < 300) done(request.response);
      else failed(new Problem({ status: request.status, ...request.response }));
    };
    request.send(file);
  });
}

/** An id for the dataset of a file. */
export function idOf(name) {
  return name.toLowerCase().replace(ENDINGS, "").replace(/[^a-z0-9._-]+/g, "-").replace(/^[^a-z0-9]+/, "").slice(0, 64);
}

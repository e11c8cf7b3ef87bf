// The types of preact.js are those of the packages that it is made of.
export * from "htm/preact/standalone";

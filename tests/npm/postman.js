// Prints the Postman collection that an import of an OpenAPI document makes: node postman.js DOCUMENT OPTIONS
const { convertV2 } = require("openapi-to-postmanv2");
const { readFileSync } = require("node:fs");

const [document, options] = process.argv.slice(2);
convertV2({ type: "string", data: readFileSync(document, "utf8") }, JSON.parse(options), (error, { result, reason, output }) => {
  if (error || !result) throw error ?? new Error(reason);
  console.log(JSON.stringify(output[0].data));
});

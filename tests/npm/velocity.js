// Prints the headers that a response template of API Gateway sets: node velocity.js TEMPLATE PARAMETERS
const { render } = require("velocityjs");

const [template, parameters] = process.argv.slice(2);
const given = JSON.parse(parameters);
const context = { responseOverride: { header: {} } };
render(template, { context, input: { params: (name) => given[name] ?? "" } });
console.log(JSON.stringify(context.responseOverride.header));

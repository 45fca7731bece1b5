// SPDX-License-Identifier: Apache-2.0
// resource_types.mjs TYPE...: what CloudFormation knows of these resource types, as JSON:
// {TYPE: {properties: {NAME: {type, required}}, attributes: [NAME]}}, null for a type there is not.
import { loadAwsServiceSpec } from "@aws-cdk/aws-service-spec";

const spec = await loadAwsServiceSpec();

// A type with the types in it spelled out. Records in records, but none in itself here.
function spell(type) {
	switch (type.type) {
	case "ref":
		return { type: "record", properties: members(spec.get("typeDefinition", type.reference.$ref).properties) };
	case "array":
	case "map":
		return { type: type.type, element: spell(type.element) };
	case "union":
		return { type: "union", types: type.types.map(spell) };
	default:
		return { type: type.type };
	}
}

function members(properties) {
	return Object.fromEntries(Object.entries(properties).map(([name, { type, required }]) =>
		[name, { type: spell(type), required: Boolean(required) }]));
}

function describe(name) {
	const [found] = spec.lookup("resource", "cloudFormationType", "equals", name);
	return found ? { properties: members(found.properties), attributes: Object.keys(found.attributes) } : null;
}

console.log(JSON.stringify(Object.fromEntries(process.argv.slice(2).map((name) => [name, describe(name)]))));

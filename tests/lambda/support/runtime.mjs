// SPDX-License-Identifier: Apache-2.0
// What Lambda's Node.js runtime does in an environment: loads the handler once, then takes one
// invocation after the other from the Runtime API's three routes.
const api = `http://${process.env.AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime`;

const post = (path, body) => fetch(`${api}/${path}`, { method: "POST", body: JSON.stringify(body ?? null) });
const errorBody = (error) => ({ errorType: error?.name ?? typeof error, errorMessage: error?.message ?? String(error) });

async function load() {
	try {
		const [file, name] = process.env._HANDLER.split(".");
		return (await import(`${process.env.LAMBDA_TASK_ROOT}/${file}.mjs`))[name];
	} catch (error) {
		await post("init/error", errorBody(error));
		process.exit(1);
	}
}

async function serve(handler) {
	const next = await fetch(`${api}/invocation/next`);
	const id = next.headers.get("lambda-runtime-aws-request-id");
	const deadline = Number(next.headers.get("lambda-runtime-deadline-ms"));
	const context = {
		awsRequestId: id,
		invokedFunctionArn: next.headers.get("lambda-runtime-invoked-function-arn"),
		getRemainingTimeInMillis: () => deadline - Date.now(),
	};
	try {
		await post(`invocation/${id}/response`, await handler(await next.json(), context));
	} catch (error) {
		await post(`invocation/${id}/error`, errorBody(error));
	}
}

const handler = await load();
for (;;)
	await serve(handler);

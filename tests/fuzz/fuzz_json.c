/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fed: an octet to cut by, then one JSON document.
 * Held: the scanner's verdict does not depend on the cut; it is cJSON's, but for what
 * cjson_differs.h lists, text after the document, depth, and documents that are no object; the
 * envelope is what its members say, and messages and wrapped data are those that cJSON finds; events
 * that were found plain while scanning are those that are found without.
 */
#include <cjson/cJSON.h>

#include "base/limits.h"
#include "cjson_differs.h"
#include "decode/envelope.h"
#include "decode/logevents.h"
#include "fuzz.h"

static enum step scan(struct slice in, uint32_t seed, size_t *end, struct fault *fault)
{
	struct cuts cuts = { seed };
	struct json_scan s;
	enum step step = STEP_MORE;
	*end = 0;
	json_scan_init(&s, JSON_DEPTH_LIMIT);
	while (step == STEP_MORE && *end < in.len) {
		size_t used;
		struct slice piece = slice_of(in.data + *end, cuts_next(&cuts, in.len - *end));
		step = json_scan(&s, piece, &used, fault);
		*end += step == STEP_BAD ? fault->offset : used;
	}
	return step;
}

static void check_cuts(struct slice in, unsigned seed, struct fault *fault)
{
	struct fault cut_fault = { .code = FAULT_COUNT };
	size_t end;
	size_t cut_end;
	enum step step = scan(in, 0, &end, fault);
	CHECK(step == scan(in, seed, &cut_end, &cut_fault));
	CHECK(end == cut_end);
	CHECK(step != STEP_BAD || fault->code == cut_fault.code);
}

/* Whether cJSON's verdict may be another than ours. */
static bool is_excused(struct slice in, bool ours, const cJSON *root, const char *end,
		       const struct fault *fault)
{
	struct cjson_differs d = cjson_differs(in);
	if (ours)
		return d.surrogate || d.long_number;
	if (d.mark || d.space || d.control || d.number || d.hex || !cJSON_IsObject(root))
		return true;
	if (fault->code == FAULT_JSON_DEPTH)
		return d.depth > JSON_DEPTH_LIMIT;
	while (end < in.data + in.len && json_is_space(*end))
		end++;
	return end < in.data + in.len;
}

static bool is_trimmed(struct slice text, const char *original)
{
	while (*original != '\0' && json_is_space(*original))
		original++;
	size_t len = strlen(original);
	while (len > 0 && json_is_space(original[len - 1]))
		len--;
	return slice_equal(text, slice_of(original, len));
}

static void check_object(struct slice text, const cJSON *object)
{
	cJSON *again = cJSON_ParseWithLengthOpts(text.data, text.len, NULL, 0);
	CHECK(again != NULL);
	char *a = cJSON_PrintUnformatted(again);
	char *b = cJSON_PrintUnformatted(object);
	CHECK(a != NULL && b != NULL && strcmp(a, b) == 0);
	cJSON_free(a);
	cJSON_free(b);
	cJSON_Delete(again);
}

static void check_event(const struct event *event, const cJSON *message)
{
	CHECK(!event->line);
	if (!cJSON_IsString(message) && !cJSON_IsObject(message)) {
		CHECK(event->broken && event->why == FAULT_EVENT);
	} else if (event->broken && event->why == FAULT_TEXT) {
		/* \u0000, where cJSON's strings end. */
		CHECK(cJSON_IsString(message));
		CHECK(memmem(event->text.data, event->text.len, "\\u0000", 6) != NULL);
	} else if (cJSON_IsString(message)) {
		CHECK(is_trimmed(event->text, message->valuestring));
		CHECK(event->json == (event->text.len > 0 && event->text.data[0] == '{'));
		CHECK(event->broken == (event->text.len > LINE_LIMIT));
	} else {
		check_object(event->text, message);
		CHECK(event->json && event->broken == (event->text.len > LINE_LIMIT));
	}
}

static const cJSON *get(const cJSON *object, const char *name)
{
	return cJSON_GetObjectItemCaseSensitive(object, name);
}

static bool is_text(const cJSON *value, const char *text)
{
	return cJSON_IsString(value) && strcmp(value->valuestring, text) == 0;
}

static void check_events(const struct document *d, const cJSON *root)
{
	struct logevents events;
	struct event event;
	logevents_init(&events);
	logevents_open(&events, d);
	if (is_text(get(root, "messageType"), "CONTROL_MESSAGE")) {
		CHECK(d->kind == DOCUMENT_CONTROL);
	} else if (get(root, "messageType") == NULL) {
		CHECK(d->kind == DOCUMENT_MESSAGES && get(root, "message") != NULL);
		CHECK(logevents_next(&events, &event));
		check_event(&event, get(root, "message"));
	} else {
		const cJSON *log_event;
		CHECK(d->kind == DOCUMENT_CLOUDWATCH);
		CHECK(is_text(get(root, "messageType"), "DATA_MESSAGE"));
		CHECK(cJSON_IsArray(get(root, "logEvents")));
		cJSON_ArrayForEach(log_event, get(root, "logEvents")) {
			CHECK(logevents_next(&events, &event));
			check_event(&event, get(log_event, "message"));
		}
	}
	CHECK(!logevents_next(&events, &event));
	logevents_deinit(&events);
}

/* One piece of wrapped data; false after one that is none, which ends the document. */
static bool check_data(struct envelope *e, const cJSON *holder)
{
	struct buf scratch;
	struct slice data;
	struct fault fault;
	const cJSON *value = get(holder, "data");
	buf_init(&scratch, SIZE_MAX / 2);
	enum step step = envelope_data(e, &scratch, &data, &fault);
	CHECK(step != STEP_MORE);
	CHECK(step == STEP_BAD || cJSON_IsString(value));
	if (step == STEP_OK)
		CHECK(slice_equal(data, slice_text(value->valuestring)));
	else if (cJSON_IsString(value))
		/* \u0000 again: no base64 holds it. */
		CHECK(strlen(value->valuestring) % 4 != 0 || fault.code == FAULT_JSON_SHAPE);
	buf_deinit(&scratch);
	return step == STEP_OK;
}

static void check_wrapped(struct envelope *e, const cJSON *root)
{
	const cJSON *kinesis = get(root, "Records");
	const cJSON *firehose = get(root, "records");
	const cJSON *record;
	struct slice none;
	struct fault fault;
	bool ok = true;
	if (e->kind == ENVELOPE_LAMBDA) {
		CHECK(get(root, "awslogs") != NULL);
		ok = check_data(e, get(root, "awslogs"));
	} else if (e->kind == ENVELOPE_KINESIS) {
		CHECK(cJSON_IsArray(kinesis));
		cJSON_ArrayForEach(record, kinesis)
			ok = ok && check_data(e, get(record, "kinesis"));
	} else {
		CHECK(cJSON_IsArray(firehose) && !cJSON_IsArray(kinesis));
		cJSON_ArrayForEach(record, firehose)
			ok = ok && check_data(e, record);
	}
	CHECK(!ok || envelope_data(e, NULL, &none, &fault) == STEP_MORE);
}

static void check_envelope(struct slice in, const cJSON *root)
{
	struct document d = { .text = (char *)(uintptr_t)in.data, .len = in.len };
	struct envelope e;
	struct fault fault;
	if (!envelope_open(&e, &d, &fault)) {
		CHECK(fault.code == FAULT_JSON_SHAPE);
		CHECK(get(root, "message") == NULL || get(root, "messageType") != NULL);
		CHECK(!is_text(get(root, "messageType"), "CONTROL_MESSAGE"));
		CHECK(!is_text(get(root, "messageType"), "DATA_MESSAGE") ||
		      !cJSON_IsArray(get(root, "logEvents")));
		CHECK(get(root, "awslogs") == NULL && !cJSON_IsArray(get(root, "Records")) &&
		      !cJSON_IsArray(get(root, "records")));
	} else if (e.kind == ENVELOPE_DOCUMENT) {
		check_events(&d, root);
	} else {
		check_wrapped(&e, root);
	}
}

/* ---- plain events ---------------------------------------------------------------------------- */

/* As payload.c scans: pieces at the places where they stand in the document. */
static void scan_plain(struct slice in, uint32_t seed, struct plain *plain)
{
	struct cuts cuts = { seed };
	struct json_scan s;
	struct fault fault;
	size_t done = 0;
	size_t used;
	enum step step = STEP_MORE;
	json_scan_init(&s, JSON_DEPTH_LIMIT);
	s.plain = plain;
	while (step == STEP_MORE && done < in.len) {
		size_t n = cuts_next(&cuts, in.len - done);
		char *piece = fuzz_copy(slice_of(in.data + done, n));
		step = json_scan(&s, slice_of(piece, n), &used, &fault);
		free(piece);
		done += n;
	}
	CHECK(step == STEP_OK);
}

static void check_same_events(const struct document *a, const struct document *b)
{
	struct logevents events[2];
	struct event event[2];
	bool more;
	logevents_init(&events[0]);
	logevents_init(&events[1]);
	logevents_open(&events[0], a);
	logevents_open(&events[1], b);
	do {
		more = logevents_next(&events[0], &event[0]);
		CHECK(more == logevents_next(&events[1], &event[1]));
		if (!more)
			break;
		CHECK(slice_equal(event[0].text, event[1].text));
		CHECK(event[0].json == event[1].json && event[0].broken == event[1].broken);
		CHECK(!event[0].broken || event[0].why == event[1].why);
	} while (more);
	logevents_deinit(&events[0]);
	logevents_deinit(&events[1]);
}

static void check_plain(struct slice in, unsigned seed, plain_runner run)
{
	struct document without = { .text = (char *)(uintptr_t)in.data, .len = in.len };
	struct document with = without;
	struct envelope e[2];
	struct fault fault;
	plain_init(&with.plain);
	with.plain.run = run;
	scan_plain(in, seed, &with.plain);
	bool opened = envelope_open(&e[0], &with, &fault);
	CHECK(opened == envelope_open(&e[1], &without, &fault));
	CHECK(!opened || e[0].kind == e[1].kind);
	CHECK(with.kind == without.kind && slice_equal(with.events, without.events));
	CHECK(slice_equal(with.owner, without.owner) && slice_equal(with.group, without.group));
	if (opened && e[0].kind == ENVELOPE_DOCUMENT && with.kind == DOCUMENT_CLOUDWATCH)
		check_same_events(&with, &without);
	plain_deinit(&with.plain);
}

static struct slice trimmed(struct slice s)
{
	while (s.len > 0 && json_is_space(s.data[0]))
		slice_skip(&s, 1);
	while (s.len > 0 && json_is_space(s.data[s.len - 1]))
		s.len--;
	return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice input = slice_of((const char *)data, size);
	unsigned seed = fuzz_choice(&input);
	char *copy = fuzz_copy(input);
	struct slice in = trimmed(slice_of(copy, input.len));
	struct fault fault = { .code = FAULT_COUNT };
	const char *end = in.data;
	check_cuts(in, seed, &fault);
	bool ours = json_is_object(in, JSON_DEPTH_LIMIT);
	for (unsigned machine = 0; ours && machine <= machine_here(); machine++)
		check_plain(in, seed, plain_runner_of((enum machine)machine));
	cJSON *root = cJSON_ParseWithLengthOpts(in.data, in.len, &end, 0);
	if (ours != (root != NULL))
		CHECK(is_excused(in, ours, root, end, &fault));
	else if (ours && !cjson_differs(in).name)
		check_envelope(in, root);
	cJSON_Delete(root);
	free(copy);
	return 0;
}

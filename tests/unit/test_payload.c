/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proves that every kind of payload gives its records, in order, and the same ones for every read
 * size from one octet up to all of it, read to where they stay or not; and what damage costs: a JSON document is all or nothing,
 * lines before the damage stand, a fault whose end is known costs that document only, an over-long
 * line costs itself, and no cap can be passed.
 *
 * Expectations are texts: "L ", "T " or "J " and a record for a line, a message, a transformer's
 * object; "! reason" for a broken event; [lines] where a run of lines begins, [group owner] for a
 * CloudWatch message, [control]; "# reason" for the fault that ends the stream, with " +" when the
 * stream goes on after it.
 */
#include "support.h"

#include "decode/logevents.h"
#include "decode/payload.h"

enum { ROOM = 1 << 22, TURNS_MOST = 1 << 22 };

static struct limits limits;

static int set_up(void **state)
{
	(void)state;
	limits = limits_standard();
	return 0;
}

/* ---- documents to text ---------------------------------------------------------------------- */

static void add_slice(struct buf *to, struct slice s)
{
	assert_true(buf_add(to, s.data, s.len));
}

static void tell_event(struct buf *out, const struct event *event)
{
	if (event->broken) {
		add_text(out, "! ");
		add_text(out, fault_name(event->why));
	} else {
		add_text(out, event->json ? "J " : event->line ? "L " : "T ");
		add_slice(out, event->text);
	}
	add_text(out, "\n");
}

static void tell_document(struct buf *out, const struct document *d)
{
	if (d->kind == DOCUMENT_CONTROL)
		add_text(out, "[control]\n");
	if (d->kind == DOCUMENT_LINES && d->first_lines)
		add_text(out, "[lines]\n");
	if (d->kind == DOCUMENT_CLOUDWATCH) {
		add_text(out, "[");
		add_slice(out, d->group);
		add_text(out, " ");
		add_slice(out, d->owner);
		add_text(out, "]\n");
	}
}

static void tell_documents(struct buf *out, struct documents *documents)
{
	struct logevents events;
	struct event event;
	logevents_init(&events);
	for (; !documents_empty(documents); documents_drop_first(documents)) {
		tell_document(out, documents->first);
		logevents_open(&events, documents->first);
		while (logevents_next(&events, &event))
			tell_event(out, &event);
	}
	logevents_deinit(&events);
}

static void tell_fault(struct buf *out, const struct fault *fault)
{
	add_text(out, "# ");
	add_text(out, fault_name(fault->code));
	add_text(out, fault->contained ? " +\n" : "\n");
}

/* Has all of it used; false when the stream has ended with a fault. */
static bool use(struct payload *p, struct slice in, bool end, struct buf *out)
{
	struct documents documents;
	struct fault fault;
	enum step step = STEP_OK;
	documents_init(&documents);
	for (unsigned turns = 0; step != STEP_MORE; turns++) {
		assert_true(turns < TURNS_MOST);
		step = payload_next(p, &in, end, &documents, &fault);
		tell_documents(out, &documents);
		if (step == STEP_BAD)
			tell_fault(out, &fault);
		if (step == STEP_BAD && !fault.contained)
			break;
	}
	if (step == STEP_MORE)
		assert_int_equal(in.len, 0);
	return step == STEP_MORE;
}

/* Feeds one read, on the heap in its exact size. */
static bool feed(struct payload *p, struct slice piece, bool end, struct buf *out)
{
	char *octets = malloc(piece.len + (piece.len == 0));
	assert_non_null(octets);
	if (piece.len > 0)
		memcpy(octets, piece.data, piece.len);
	bool going = use(p, slice_of(octets, piece.len), end, out);
	free(octets);
	return going;
}

/* The same, as much as there is room for put where it stays; how much that was is added to *placed. */
static bool feed_placed(struct payload *p, struct slice piece, size_t *placed, struct buf *out)
{
	bool going = true;
	while (going && piece.len > 0) {
		size_t room;
		char *to = payload_room(p, &room);
		if (to == NULL)
			return feed(p, piece, false, out);
		assert_true(room > 0);
		size_t n = piece.len < room ? piece.len : room;
		memcpy(to, piece.data, n);
		slice_skip(&piece, n);
		*placed += n;
		going = use(p, slice_of(to, n), false, out);
	}
	return going;
}

/* placed: NULL for a reader who knows nothing of where octets stay. */
static void read_to(struct slice octets, size_t size, size_t *placed, struct buf *out)
{
	struct stats stats = { .events = 0 };
	struct payload *p = payload_new(PAYLOAD_STREAM, &limits, &stats);
	assert_non_null(p);
	out->len = 0;
	bool going = true;
	for (size_t done = 0; going && done < octets.len; done += size) {
		size_t n = size < octets.len - done ? size : octets.len - done;
		struct slice piece = slice_of(octets.data + done, n);
		going = placed == NULL ? feed(p, piece, false, out)
				       : feed_placed(p, piece, placed, out);
	}
	if (going && feed(p, SLICE_NONE, true, out))
		assert_true(payload_idle(p));
	payload_free(&p);
	assert_null(p);
}

static void read_by(struct slice octets, size_t size, struct buf *out)
{
	read_to(octets, size, NULL, out);
}

/* As a PUT is unpacked: all of it at once. */
static void read_whole(struct slice octets, struct buf *out)
{
	struct stats stats = { .events = 0 };
	struct payload *p = payload_new(PAYLOAD_WHOLE, &limits, &stats);
	assert_non_null(p);
	out->len = 0;
	(void)feed(p, octets, true, out);
	payload_free(&p);
}

static void expect(const char *name, size_t size, const struct buf *got, const char *expected)
{
	if (slice_equal(buf_slice(got), slice_text(expected)))
		return;
	print_error("%.200s, reads of %zu\n--- expected\n%.2000s--- got\n%.*s", name, size,
		    expected, (int)(got->len < 2000 ? got->len : 2000), got->data);
	fail();
}

static void check_size(const char *name, struct slice octets, size_t size, const char *expected)
{
	struct buf out;
	buf_init(&out, ROOM);
	read_by(octets, size, &out);
	expect(name, size, &out, expected);
	size_t placed = 0;
	read_to(octets, size, &placed, &out);
	expect(name, size, &out, expected);
	buf_deinit(&out);
}

/* Every read size up to 64, some more, and the whole. */
static void check(const char *name, struct slice octets, const char *expected)
{
	static const size_t sizes[] = { 100, 127, 128, 129, 255, 256, 257, 1000, 4096, 65536 };
	struct buf out;
	for (size_t size = 1; size <= 64; size++)
		check_size(name, octets, size, expected);
	for (size_t i = 0; i < COUNT_OF(sizes); i++)
		check_size(name, octets, sizes[i], expected);
	check_size(name, octets, octets.len + 1, expected);
	buf_init(&out, ROOM);
	read_whole(octets, &out);
	expect(name, 0, &out, expected);
	buf_deinit(&out);
}

/* ---- what AWS sends ------------------------------------------------------------------------- */

#define SSH                                                                                        \
	"2 123456789010 eni-1235b8ca123456789 172.31.16.139 172.31.16.21 20641 22 6 20 4249 "      \
	"1418530010 1418530070 ACCEPT OK"
#define RDP                                                                                        \
	"2 123456789010 eni-1235b8ca123456789 172.31.9.69 172.31.9.12 49761 3389 6 20 4249 "       \
	"1418530010 1418530070 REJECT OK"
#define NODATA "2 123456789010 eni-1235b8ca123456789 - - - - - - - 1431280876 1431280934 - NODATA"

#define DATA_V2                                                                                    \
	"[\"vpc-flow-logs\" \"123456789010\"]\n"                                                   \
	"T " SSH "\n"                                                                              \
	"T " RDP "\n"                                                                              \
	"T " NODATA "\n"                                                                           \
	"T 2 123456789010 eni-11111111aaaaaaaaa - - - - - - - 1431280876 1431280934 - SKIPDATA\n"  \
	"T 2 123456789010 eni-1235b8ca123456789 203.0.113.12 172.31.16.139 0 0 1 4 336 "           \
	"1432917027 1432917142 ACCEPT OK\n"                                                        \
	"T 2 123456789010 eni-1235b8ca123456789 172.31.16.139 203.0.113.12 0 0 1 4 336 "           \
	"1432917094 1432917142 REJECT OK\n"                                                        \
	"T 2 123456789010 eni-1235b8ca123456789 2001:db8:1234:a100:8d6e:3477:df66:f105 "           \
	"2001:db8:1234:a102:3304:8879:34cf:4071 34892 22 6 54 8855 1477913708 1477913820 "         \
	"ACCEPT OK\n"

static const struct {
	const char *file;
	const char *expected;
} files[] = {
	{ "data-v2.decoded.json", DATA_V2 },
	{ "data-v2-account-level.decoded.json", DATA_V2 },
	{ "data-v2.lambda-event.json", DATA_V2 },
	{ "data-v2-account-level.lambda-event.json", DATA_V2 },
	{ "control.decoded.json", "[control]\n" },
	{ "control.lambda-event.json", "[control]\n" },
	{ "firehose-cwl.http-body.json", DATA_V2 "[control]\n" },
	{ "firehose-direct-flowlogs.http-body.json", "T " SSH "\nT " RDP "\nT " NODATA "\n" },
};

static void add_data_file(struct buf *to, const char *file)
{
	char path[512];
	(void)snprintf(path, sizeof(path), "%s/%s", TEST_DATA, file);
	add_file(to, path);
}

/* Bare, in one gzip member, and in two that cut a document in halves (lines do not run on). */
static void check_and_gzipped(const char *name, struct slice octets, const char *expected)
{
	struct buf gz;
	size_t half = octets.len / 2;
	check(name, octets, expected);
	buf_init(&gz, ROOM);
	add_gzip(&gz, octets);
	check(name, buf_slice(&gz), expected);
	gz.len = 0;
	if (strstr(expected, "[lines]") == NULL) {
		add_gzip(&gz, slice_of(octets.data, half));
		add_gzip(&gz, slice_of(octets.data + half, octets.len - half));
		check(name, buf_slice(&gz), expected);
	}
	buf_deinit(&gz);
}

static void test_files(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(files); i++) {
		struct buf octets;
		buf_init(&octets, ROOM);
		add_data_file(&octets, files[i].file);
		check_and_gzipped(files[i].file, buf_slice(&octets), files[i].expected);
		buf_deinit(&octets);
	}
}

/* All of them on one connection, bare and in gzip by turns. */
static void test_mix(void **state)
{
	(void)state;
	static const char *const between[] = { "", "\n", " \r\n\t", "\n\n\n" };
	struct buf octets;
	struct buf one;
	struct buf expected;
	buf_init(&octets, ROOM);
	buf_init(&one, ROOM);
	buf_init(&expected, ROOM);
	for (size_t i = 0; i < 2 * COUNT_OF(files); i++) {
		one.len = 0;
		add_data_file(&one, files[i / 2].file);
		if (i % 2 == 0)
			add_slice(&octets, buf_slice(&one));
		else
			add_gzip(&octets, buf_slice(&one));
		add_text(&expected, files[i / 2].expected);
		add_text(&octets, between[i % COUNT_OF(between)]);
		if (i % 3 == 0) {
			add_text(&octets, "1 a line\n");
			add_text(&expected, "[lines]\nL 1 a line\n");
		}
	}
	add_text(&octets, "{\"message\":\"the end\"}");
	assert_true(buf_add(&expected, "T the end\n", sizeof("T the end\n")));
	check("mix", buf_slice(&octets), expected.data);
	buf_deinit(&octets);
	buf_deinit(&one);
	buf_deinit(&expected);
}

/* ---- JSON and lines ------------------------------------------------------------------------- */

static const struct {
	const char *octets;
	const char *expected;
} kinds[] = {
	/* CloudWatch messages */
	{ "{\"messageType\":\"DATA_MESSAGE\",\"logGroup\":\"g\",\"owner\":\"1\",\"logEvents\":[]}",
	  "[\"g\" \"1\"]\n" },
	{ "{\"logEvents\":[{\"message\":\"a b\",\"id\":\"1\"},{\"id\":\"2\",\"timestamp\":3,"
	  "\"message\":\"c\"}],\"owner\":\"1\",\"messageType\":\"DATA_MESSAGE\",\"logGroup\":\"g\"}",
	  "[\"g\" \"1\"]\nT a b\nT c\n" },
	{ "{\"messageType\":\"DATA_MESSAGE\",\"logEvents\":[{\"message\":\"a\"}]}", "[ ]\nT a\n" },
	{ "{\"policyLevel\":\"X\",\"x\":{\"logEvents\":[{\"message\":\"no\"}]},\"messageType\":"
	  "\"DATA_MESSAGE\",\"logEvents\":[{\"extractedFields\":{\"message\":\"no\"},"
	  "\"message\":\"yes\"}]}",
	  "[ ]\nT yes\n" },
	{ "{\"messageType\":\"DATA_MESSAGE\",\"logEvents\":[{\"message\":\"2 a\\n\"},{\"message\":"
	  "\"\\u0032\\tb \\\"c\\\\\"}]}",
	  "[ ]\nT 2 a\nT 2\tb \"c\\\n" },
	{ "{\"messageType\":\"DATA_MESSAGE\",\"logEvents\":[{\"id\":\"1\"},{\"message\":5},"
	  "{\"message\":null},7,{\"message\":\"a\\u0000\"},{\"message\":\"\\ud800\"},{},"
	  "{\"message\":\"ok\"}]}",
	  "[ ]\n! event\n! event\n! event\n! event\n! text\n! text\n! event\nT ok\n" },
	{ "{\"messageType\":\"DATA_MESSAGE\",\"logEvents\":[{\"message\":\"\"},{\"message\":\"a\"}]}",
	  "[ ]\nT \nT a\n" },
	{ "{\"messageType\":\"CONTROL_MESSAGE\",\"logEvents\":[{\"message\":\"x\"}]}",
	  "[control]\n" },
	{ "{\"messageType\":\"CONTROL_MESSAGE\"}", "[control]\n" },
	/* transformers */
	{ "{\"messageType\":\"DATA_MESSAGE\",\"logEvents\":[{\"message\":\"{\\\"srcAddr\\\":"
	  "\\\"10.0.0.1\\\"}\"},{\"message\":{\"bytes\":40}}]}",
	  "[ ]\nJ {\"srcAddr\":\"10.0.0.1\"}\nJ {\"bytes\":40}\n" },
	{ "{\"message\":{\"srcAddr\":\"10.0.0.1\"}}", "J {\"srcAddr\":\"10.0.0.1\"}\n" },
	{ "{\"message\":\" {\\\"bytes\\\": 1} \"}", "J {\"bytes\": 1}\n" },
	/* {"message"} objects */
	{ "{\"message\":\"a b\"}", "T a b\n" },
	{ "{\"message\":\"a\"}{\"message\":\"b\"}", "T a\nT b\n" },
	{ "{\"message\":\"a\"}\n{\"message\":\"b\"}\r\n\t {\"message\":\"c\"}\n",
	  "T a\nT b\nT c\n" },
	{ "{ \"x\" : 1 ,\n \"message\" : \"a\\r\\n\" }", "T a\n" },
	{ "{\"message\":7}", "! event\n" },
	/* lines */
	{ "a", "[lines]\nL a\n" },
	{ "a\n", "[lines]\nL a\n" },
	{ "a b\nc d\n", "[lines]\nL a b\nL c d\n" },
	{ "a\r\nb\r\n", "[lines]\nL a\nL b\n" },
	{ "\n\n  a  \n\n\n  b", "[lines]\nL a\nL b\n" },
	{ "version srcaddr\n2 10.0.0.1\n", "[lines]\nL version srcaddr\nL 2 10.0.0.1\n" },
	{ "a {\n}\n", "[lines]\nL a {\nL }\n" },
	{ "[1]\n", "[lines]\nL [1]\n" },
	{ "\"x\"\n", "[lines]\nL \"x\"\n" },
	{ "caf\xc3\xa9\n", "[lines]\nL caf\xc3\xa9\n" },
	/* one after another */
	{ "a\n{\"message\":\"b\"}\nc\nd\n", "[lines]\nL a\nT b\n[lines]\nL c\nL d\n" },
	{ "a\n  {\"message\":\"b\"}c\n", "[lines]\nL a\nT b\n[lines]\nL c\n" },
	{ "{\"message\":\"a\"}b {\"message\":\"c\"}\n", "T a\n[lines]\nL b {\"message\":\"c\"}\n" },
	{ "{\"messageType\":\"CONTROL_MESSAGE\"}{\"message\":\"a\"}", "[control]\nT a\n" },
	/* nothing */
	{ " ", "" },
	{ "\r\n\r\n", "" },
};

static void test_kinds(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(kinds); i++)
		check_and_gzipped(kinds[i].octets, slice_text(kinds[i].octets), kinds[i].expected);
	check_size("empty", SLICE_NONE, 1, "");
}

/* Kinesis, Firehose and Lambda around whatever may stand on its own. */
static void test_wrapped(void **state)
{
	(void)state;
	static const char *const wraps[][2] = {
		{ "{\"awslogs\":{\"data\":\"", "\"}}" },
		{ "{\"Records\":[{\"eventSource\":\"x\",\"kinesis\":{\"data\":\"", "\"}}]}" },
		{ "{\"records\":[{\"recordId\":\"x\",\"data\":\"", "\"}]}" },
	};
	for (size_t i = 0; i < COUNT_OF(kinds); i++) {
		const char *const *wrap = wraps[i % COUNT_OF(wraps)];
		struct buf gz;
		struct buf octets;
		buf_init(&gz, ROOM);
		buf_init(&octets, ROOM);
		add_gzip(&gz, slice_text(kinds[i].octets));
		add_text(&octets, wrap[0]);
		add_base64(&octets, i % 2 == 0 ? buf_slice(&gz) : slice_text(kinds[i].octets));
		add_text(&octets, wrap[1]);
		check(kinds[i].octets, buf_slice(&octets), kinds[i].expected);
		buf_deinit(&gz);
		buf_deinit(&octets);
	}
}

static void test_batch(void **state)
{
	(void)state;
	/* "a\n", {"message":"b"}, an escaped slash in the base64 of "???" */
	check("kinesis",
	      SLICE_LITERAL("{\"Records\":[{\"kinesis\":{\"data\":\"YQo=\"}},{\"kinesis\":{\"x\":1,"
			    "\"data\":\"eyJtZXNzYWdlIjoiYiJ9\"}},{\"kinesis\":{\"data\":"
			    "\"Pz8\\/\"}}]}"),
	      "[lines]\nL a\nT b\n[lines]\nL ???\n");
	check("firehose",
	      SLICE_LITERAL("{\"requestId\":\"x\",\"records\":[{\"data\":\"YQo=\"},{\"data\":"
			    "\"eyJtZXNzYWdlIjoiYiJ9\"}]}"),
	      "[lines]\nL a\nT b\n");
	check("empty batches", SLICE_LITERAL("{\"records\":[]}{\"Records\":[]}"), "");
}

/* Each document is gone when the next member begins: lines do not run on. */
static void test_members(void **state)
{
	(void)state;
	struct buf gz;
	buf_init(&gz, ROOM);
	add_gzip(&gz, SLICE_LITERAL("version srcaddr\n2 10.0.0.1\n2 10.0"));
	add_gzip(&gz, SLICE_NONE);
	add_gzip(&gz, SLICE_LITERAL("a\n{\"message\":\"b\"}c\n"));
	add_text(&gz, " \n");
	add_gzip(&gz, SLICE_LITERAL("{\"message\":\"d\"}"));
	check("members", buf_slice(&gz),
	      "[lines]\nL version srcaddr\nL 2 10.0.0.1\nL 2 10.0\n"
	      "[lines]\nL a\nT b\n[lines]\nL c\nT d\n");
	buf_deinit(&gz);
}

/* ---- damage --------------------------------------------------------------------------------- */

static const struct {
	const char *octets;
	const char *expected;
} damages[] = {
	{ "{", "# json_cut\n" },
	{ "{\"message\":\"a\"", "# json_cut\n" },
	{ "{\"message\":\"a", "# json_cut\n" },
	{ "{\"message\":\"a\"]", "# json\n" },
	{ "{\"message\":\"a\",}", "# json\n" },
	{ "{\"message\":\"a\x01\"}", "# json\n" },
	{ "{message:1}", "# json\n" },
	{ "a\nb\n{\"message\":\"c\"}\nd\n{x}\ne\n",
	  "[lines]\nL a\nL b\nT c\n[lines]\nL d\n# json\n" },
	{ "{\"message\":\"a\"}{\"message\":", "T a\n# json_cut\n" },
	{ "{\"messageType\":\"DATA_MESSAGE\",\"logEvents\":[{\"message\":\"a\"},{\"message\":\"b\"}",
	  "# json_cut\n" },
	/* where it ends is known, so what follows is read */
	{ "{}", "# json_shape +\n" },
	{ "{\"hello\":\"world\"}{\"message\":\"a\"}", "# json_shape +\nT a\n" },
	{ "a\n{\"hello\":1}\nb\n", "[lines]\nL a\n# json_shape +\n[lines]\nL b\n" },
	{ "{\"messageType\":\"DATA_MESSAGE\"}", "# json_shape +\n" },
	{ "{\"messageType\":\"DATA_MESSAGE\",\"logEvents\":{}}", "# json_shape +\n" },
	{ "{\"messageType\":\"DATA_MESSAGE\",\"logEvents\":\"[]\"}", "# json_shape +\n" },
	{ "{\"messageType\":\"OTHER\",\"logEvents\":[{\"message\":\"a\"}]}", "# json_shape +\n" },
	{ "{\"messageType\":7,\"message\":\"a\"}", "# json_shape +\n" },
	{ "{\"awslogs\":{}}", "# json_shape +\n" },
	{ "{\"awslogs\":\"YQo=\"}", "# json_shape +\n" },
	{ "{\"awslogs\":{\"data\":5}}", "# json_shape +\n" },
	{ "{\"awslogs\":{\"data\":{}}}", "# json_shape +\n" },
	{ "{\"awslogs\":{\"data\":\"\"}}", "# empty +\n" },
	{ "{\"awslogs\":{\"data\":\"YQo\"}}a\n", "# base64 +\n[lines]\nL a\n" },
	{ "{\"awslogs\":{\"data\":\"YQ o=\"}}", "# base64 +\n" },
	{ "{\"awslogs\":{\"data\":\"ewo=\"}}{\"message\":\"a\"}", "# json_cut +\nT a\n" },
	{ "{\"awslogs\":{\"data\":\"e30=\"}}{\"message\":\"a\"}", "# json_shape +\nT a\n" },
	{ "{\"awslogs\":{\"data\":\"H4sI\"}}{\"message\":\"a\"}", "# gzip_cut +\nT a\n" },
	{ "{\"Records\":{}}", "# json_shape +\n" },
	{ "{\"Records\":[{\"s3\":{}}]}", "# json_shape +\n" },
	{ "{\"Records\":[1]}", "# json_shape +\n" },
	{ "{\"records\":[{\"data\":\"YQo=\"},{\"data\":\"?\"}]}b\n", "# base64 +\n[lines]\nL b\n" },
	{ "{\"records\":[{\"data\":\"YQo=\"},{}]}", "# json_shape +\n" },
	/* not JSON at all: lines, and the records' own business */
	{ "}\n", "[lines]\nL }\n" },
	{ "GET / HTTP/1.1\r\n\r\n", "[lines]\nL GET / HTTP/1.1\n" },
	{ "\x16\x03\x01", "[lines]\nL \x16\x03\x01\n" },
	{ "\x1f\x8c\x08\x08", "# gzip\n" },
	{ "a\n\x1f", "[lines]\nL a\n# gzip_cut\n" },
};

/* What a PUT gives ends with the first fault; the rest is the same. */
static void check_damage(const char *name, struct slice octets, const char *expected)
{
	for (size_t size = 1; size <= 64; size++)
		check_size(name, octets, size, expected);
	check_size(name, octets, octets.len + 1, expected);
}

static void test_damage(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(damages); i++)
		check_damage(damages[i].octets, slice_text(damages[i].octets), damages[i].expected);
	check_damage("NUL in a string", SLICE_LITERAL("{\"message\":\"a\0b\"}"), "# json\n");
	check_damage("NUL between", SLICE_LITERAL("{\"message\":\"a\"\0}"), "# json\n");
}

/* A cut gzip gives no JSON document; lines that came out of it stand. */
static void test_gzip_cut(void **state)
{
	(void)state;
	static const size_t sizes[] = { 1, 7, 1 << 20 };
	struct buf octets;
	struct buf gz;
	buf_init(&octets, ROOM);
	buf_init(&gz, ROOM);
	add_data_file(&octets, "data-v2.decoded.json");
	add_gzip(&gz, buf_slice(&octets));
	for (size_t cut = 1; cut < gz.len; cut++)
		for (size_t i = 0; i < COUNT_OF(sizes); i++)
			check_size("cut", slice_of(gz.data, cut), sizes[i], "# gzip_cut\n");
	gz.len = 0;
	add_gzip(&gz, SLICE_LITERAL("a b\nc d\n"));
	check_damage("lines", slice_of(gz.data, gz.len - 1), "[lines]\nL a b\nL c d\n# gzip_cut\n");
	/* The document ends in a second member that does not come, or that is no member. */
	gz.len = 0;
	add_gzip(&gz, SLICE_LITERAL("{\"message\":"));
	check_damage("no second member", buf_slice(&gz), "# json_cut\n");
	add_text(&gz, "\"a\"}");
	check_damage("no member", buf_slice(&gz), "# json_cut\n");
	buf_deinit(&octets);
	buf_deinit(&gz);
}

static bool holds(const struct buf *b, const char *text)
{
	return memmem(b->data, b->len, text, strlen(text)) != NULL;
}

/* A damaged member's document is never converted, even when all of it came out. */
static void test_gzip_flipped(void **state)
{
	(void)state;
	static const size_t sizes[] = { 1, 1 << 20 };
	struct buf octets;
	struct buf gz;
	struct buf out;
	unsigned whole = 0;
	buf_init(&octets, ROOM);
	buf_init(&gz, ROOM);
	buf_init(&out, ROOM);
	add_data_file(&octets, "data-v2.decoded.json");
	add_gzip(&gz, buf_slice(&octets));
	for (size_t at = 1; at < gz.len; at++) {
		gz.data[at] = (char)(gz.data[at] ^ 0x10);
		for (size_t i = 0; i < COUNT_OF(sizes); i++) {
			read_by(buf_slice(&gz), sizes[i], &out);
			bool good = slice_equal(buf_slice(&out), SLICE_LITERAL(DATA_V2));
			/* Undamaged in spite of it: the header's time, flags and system, and the
			 * bits that fill up the last octet of the deflate stream. What no longer
			 * begins as JSON may be lines, until the damage is found. */
			if (!good && (!holds(&out, "# ") || holds(&out, "[\"vpc-flow-logs")))
				fail_msg("octet %zu flipped: %.*s", at, (int)out.len, out.data);
			whole += good;
		}
		gz.data[at] = (char)(gz.data[at] ^ 0x10);
	}
	assert_in_range(whole, 4, 20);
	buf_deinit(&octets);
	buf_deinit(&gz);
	buf_deinit(&out);
}

/* The first member stands, the second is damaged in its checksum. */
static void test_gzip_second_member(void **state)
{
	(void)state;
	struct buf octets;
	struct buf gz;
	buf_init(&octets, ROOM);
	buf_init(&gz, ROOM);
	add_data_file(&octets, "data-v2.decoded.json");
	add_gzip(&gz, buf_slice(&octets));
	add_gzip(&gz, buf_slice(&octets));
	gz.data[gz.len - 8] = (char)(gz.data[gz.len - 8] ^ 1);
	check_damage("second member", buf_slice(&gz), DATA_V2 "# gzip\n");
	buf_deinit(&octets);
	buf_deinit(&gz);
}

/* ---- limits --------------------------------------------------------------------------------- */

static void test_depth(void **state)
{
	(void)state;
	limits.depth = 5;
	check("5 levels", SLICE_LITERAL("{\"message\":\"a\",\"x\":[[[[1]]]]}"), "T a\n");
	check_damage("6 levels", SLICE_LITERAL("{\"message\":\"a\",\"x\":[[[[[1]]]]]}"),
		     "# json_depth\n");
	limits = limits_standard();
}

/* gzip in gzip, and Lambda events in Lambda events, up to the limit. */
static void check_nesting(bool gzip, const char *past)
{
	struct buf octets;
	struct buf wrapped;
	buf_init(&octets, ROOM);
	buf_init(&wrapped, ROOM);
	add_text(&octets, "{\"message\":\"a\"}");
	for (unsigned layers = 0; layers < 5; layers++) {
		char name[32];
		(void)snprintf(name, sizeof(name), "%u layers", layers);
		check_damage(name, buf_slice(&octets), layers <= 3 ? "T a\n" : past);
		wrapped.len = 0;
		if (gzip) {
			add_gzip(&wrapped, buf_slice(&octets));
		} else {
			add_text(&wrapped, "{\"awslogs\":{\"data\":\"");
			add_base64(&wrapped, buf_slice(&octets));
			add_text(&wrapped, "\"}}");
		}
		octets.len = 0;
		add_slice(&octets, buf_slice(&wrapped));
	}
	buf_deinit(&octets);
	buf_deinit(&wrapped);
}

static void test_nesting_gzip(void **state)
{
	(void)state;
	check_nesting(true, "# nesting\n");
}

static void test_nesting_base64(void **state)
{
	(void)state;
	check_nesting(false, "# nesting +\n");
}

/* A message object of len octets in all, which does not compress well. */
static void add_message(struct buf *to, size_t len)
{
	struct dice dice = { len };
	size_t last = to->len + len - 2;
	add_text(to, "{\"message\":\"");
	while (to->len < last) {
		char c = (char)('0' + dice_below(&dice, 43));
		assert_true(buf_add(to, c == '\\' ? "x" : &c, 1));
	}
	add_text(to, "\"}");
}

static const struct {
	uint64_t payload;
	uint64_t inflated;
	size_t len;
	bool gzip;
	const char *expected;
} caps[] = {
	{ 65536, 1 << 20, 65536, false, "! line_length\n" },
	{ 65536, 1 << 20, 65537, false, "# too_large\n" },
	{ 40000, 1 << 20, 40000, false, "! line_length\n" },
	{ 40000, 1 << 20, 40001, false, "# too_large\n" },
	{ 1 << 20, 65536, 65536 - DOCUMENT_COST, true, "! line_length\n" },
	{ 1 << 20, 65536, 65537, true, "# inflated\n" },
	{ 1 << 20, 65536, 90000, true, "# inflated\n" },
};

static void check_cap(size_t len, uint64_t payload, uint64_t inflated, bool gzip,
		      const char *expected)
{
	static const size_t sizes[] = { 1, 10, 64, 1000, 65535, 65536, 1 << 20 };
	struct buf octets;
	struct buf gz;
	char name[64];
	buf_init(&octets, ROOM);
	buf_init(&gz, ROOM);
	add_message(&octets, len);
	add_gzip(&gz, buf_slice(&octets));
	limits.payload = payload;
	limits.inflated = inflated;
	(void)snprintf(name, sizeof(name), "%zu octets, cap %u, gzip %d", len, (unsigned)payload,
		       gzip);
	for (size_t k = 0; k < COUNT_OF(sizes); k++)
		check_size(name, buf_slice(gzip ? &gz : &octets), sizes[k], expected);
	limits = limits_standard();
	buf_deinit(&octets);
	buf_deinit(&gz);
}

static void test_caps(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(caps); i++)
		check_cap(caps[i].len, caps[i].payload, caps[i].inflated, caps[i].gzip,
			  caps[i].expected);
}

/* --max-payload holds below the longest line, too. */
static void test_small_cap(void **state)
{
	(void)state;
	check_cap(1025, 1024, 1 << 20, false, "# too_large\n");
}

/* A PUT may not unpack to more in all, a stream may. */
static void test_inflated_in_all(void **state)
{
	(void)state;
	struct buf octets;
	struct buf gz;
	struct buf out;
	buf_init(&octets, ROOM);
	buf_init(&gz, ROOM);
	buf_init(&out, ROOM);
	add_message(&octets, 30000);
	for (unsigned i = 0; i < 3; i++)
		add_gzip(&gz, buf_slice(&octets));
	limits.inflated = 65536;
	read_whole(buf_slice(&gz), &out);
	assert_true(out.len > 10);
	assert_memory_equal(out.data + out.len - 11, "# inflated\n", 11);
	read_by(buf_slice(&gz), 1000, &out);
	assert_int_equal(out.len, 3 * (30000 - 14 + 3));
	limits = limits_standard();
	buf_deinit(&octets);
	buf_deinit(&gz);
	buf_deinit(&out);
}

static void test_ratio(void **state)
{
	(void)state;
	struct buf octets;
	struct buf gz;
	struct buf out;
	buf_init(&octets, ROOM);
	buf_init(&gz, ROOM);
	buf_init(&out, ROOM);
	add_text(&octets, "{\"message\":\"");
	while (octets.len < 1 << 20)
		add_text(&octets,
			 "                                                                ");
	add_text(&octets, "\"}");
	add_gzip(&gz, buf_slice(&octets));
	check_damage("bomb", buf_slice(&gz), "# ratio\n");
	buf_deinit(&octets);
	buf_deinit(&gz);
	buf_deinit(&out);
}

/* Firehose bundles as many records as fit its buffer: flow logs straight to it are one each. */
static void test_many_records(void **state)
{
	(void)state;
	enum { RECORDS = 20000 };
	struct buf octets;
	struct buf out;
	buf_init(&octets, ROOM);
	buf_init(&out, ROOM);
	add_text(&octets, "{\"records\":[");
	for (unsigned i = 0; i < RECORDS; i++)
		add_text(&octets, i == 0 ? "{\"data\":\"YQo=\"}" : ",{\"data\":\"YQo=\"}");
	add_text(&octets, "]}");
	read_by(buf_slice(&octets), 5000, &out);
	assert_int_equal(out.len, RECORDS * strlen("[lines]\nL a\n"));
	buf_deinit(&octets);
	buf_deinit(&out);
}

/* ---- joined and borrowed --------------------------------------------------------------------- */

/* All documents of a whole payload, with how many there are, of which so many lie in it. */
static void tell_whole(struct slice octets, struct buf *out)
{
	struct stats stats = { .events = 0 };
	struct payload *p = payload_new(PAYLOAD_WHOLE, &limits, &stats);
	struct documents documents;
	struct fault fault;
	struct slice in = octets;
	enum step step;
	unsigned count = 0;
	unsigned borrowed = 0;
	char counts[32];
	assert_non_null(p);
	out->len = 0;
	documents_init(&documents);
	while ((step = payload_next(p, &in, true, &documents, &fault)) == STEP_OK)
		;
	assert_int_equal(step, STEP_MORE);
	size_t size = 0;
	for (const struct document *d = documents.first; d != NULL; d = d->next) {
		count++;
		borrowed += d->borrowed;
		size += d->len + DOCUMENT_COST;
	}
	assert_int_equal(size, documents.size);
	(void)snprintf(counts, sizeof(counts), "%u/%u\n", borrowed, count);
	add_text(out, counts);
	tell_documents(out, &documents);
	payload_free(&p);
}

static void test_joined(void **state)
{
	(void)state;
	static const struct {
		const char *octets;
		const char *expected;
	} rows[] = {
		{ "{\"message\":\"a\"}", "1/1\nT a\n" },
		{ "{\"message\":\"a\"}{\"message\":\"b\"}\n\t{\"x\":[{}],\"message\":\"c\"} ",
		  "1/1\nT a\nT b\nT c\n" },
		/* What yields nothing and what yields something else ends a run. */
		{ "{\"message\":\"a\"}{\"records\":[]}{\"message\":\"b\"}{\"message\":7}",
		  "2/2\nT a\nT b\n! event\n" },
		{ "{\"message\":\"a\"}\nline\n{\"message\":\"b\"}",
		  "3/3\nT a\n[lines]\nL line\nT b\n" },
		{ "{\"message\":\"a\"}{\"messageType\":\"CONTROL_MESSAGE\"}{\"message\":\"b\"}",
		  "3/3\nT a\n[control]\nT b\n" },
		/* What came out of base64 lies in a buffer that goes; so does the end of a line. */
		{ "{\"message\":\"a\"}{\"awslogs\":{\"data\":\"eyJtZXNzYWdlIjoiYiJ9\"}}{\"message\":\"c\"}",
		  "2/3\nT a\nT b\nT c\n" },
		{ "one\ntwo\nthree", "1/2\n[lines]\nL one\nL two\nL three\n" },
	};
	struct buf out;
	buf_init(&out, ROOM);
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		tell_whole(slice_text(rows[i].octets), &out);
		expect(rows[i].octets, 0, &out, rows[i].expected);
	}
	buf_deinit(&out);
}

/* A gzip member of nothing between messages ends their run, and messages in gzip are joined, too. */
static void test_joined_in_gzip(void **state)
{
	(void)state;
	enum { MESSAGES = 10000 };
	const struct slice message = SLICE_LITERAL("{\"message\":\"a\"}\n");
	struct buf octets;
	struct buf gz;
	struct buf out;
	buf_init(&octets, ROOM);
	buf_init(&gz, ROOM);
	buf_init(&out, ROOM);
	add_slice(&octets, message);
	add_gzip(&octets, SLICE_NONE);
	add_slice(&octets, message);
	tell_whole(buf_slice(&octets), &out);
	expect("nothing between", 0, &out, "2/2\nT a\nT a\n");
	octets.len = 0;
	for (unsigned i = 0; i < MESSAGES; i++)
		add_slice(&octets, message);
	add_gzip(&gz, buf_slice(&octets));
	limits.ratio = 1100;
	tell_whole(buf_slice(&gz), &out);
	limits = limits_standard();
	/* 15 octets each, 64 KiB a run. */
	assert_memory_equal(out.data, "0/3\nT a\n", 8);
	assert_int_equal(out.len, 4 + MESSAGES * strlen("T a\n"));
	buf_deinit(&octets);
	buf_deinit(&gz);
	buf_deinit(&out);
}

/* ---- long lines ----------------------------------------------------------------------------- */

static void add_line(struct buf *to, const char *before, size_t len, const char *after)
{
	add_text(to, before);
	for (size_t i = 0; i < len; i++)
		assert_true(buf_add(to, "x", 1));
	add_text(to, after);
}

/* An over-long line costs itself: the lines around it are read. */
static void check_long_line(const char *before, size_t len, const char *after, bool good)
{
	static const size_t sizes[] = { 1,
					2,
					3,
					64,
					1000,
					LINE_LIMIT - 1,
					LINE_LIMIT,
					LINE_LIMIT + 1,
					LINE_LIMIT + 2,
					LINE_LIMIT + 7,
					1 << 20 };
	struct buf octets;
	struct buf expected;
	char name[64];
	buf_init(&octets, ROOM);
	buf_init(&expected, ROOM);
	add_text(&octets, "a\n");
	add_line(&octets, before, len, after);
	add_text(&octets, "\nb\n");
	add_text(&expected, "[lines]\nL a\n");
	if (good)
		add_line(&expected, "L ", len, "\n");
	else
		add_text(&expected, "! line_length\n");
	assert_true(buf_add(&expected, "L b\n", 5));
	(void)snprintf(name, sizeof(name), "line of %zu and %zu spaces", len,
		       strlen(before) + strlen(after));
	for (size_t i = 0; i < COUNT_OF(sizes); i++)
		check_size(name, buf_slice(&octets), sizes[i], expected.data);
	buf_deinit(&octets);
	buf_deinit(&expected);
}

/* Texts that are put where they stay have an end, behind which others begin. */
static void test_placed(void **state)
{
	(void)state;
	static const size_t sizes[] = { 300000, 10, 140000, 65536, 1, 131072, 500000, 70000 };
	struct buf text, gzip, out, expected;
	buf_init(&text, ROOM);
	buf_init(&gzip, ROOM);
	buf_init(&out, ROOM);
	buf_init(&expected, ROOM);
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		/* Too long for a record, so that what is told is short. */
		add_text(&text, "{\"message\":\"");
		for (size_t n = 0; n < sizes[i]; n++)
			add_text(&text, n % 3 == 0 ? "a" : "b");
		add_text(&text, "\"}\n");
		if (sizes[i] > LINE_LIMIT) {
			add_text(&expected, "! line_length\n");
		} else {
			add_text(&expected, "T ");
			add_slice(&expected, slice_of("abbabbabba", sizes[i]));
			add_text(&expected, "\n");
		}
	}
	add_text(&text, "2 1 eni-1\n");
	add_text(&expected, "[lines]\nL 2 1 eni-1\n");
	for (size_t size = 1000; size < 2 * text.len; size *= 3) {
		size_t placed = 0;
		read_to(buf_slice(&text), size, &placed, &out);
		assert_true(slice_equal(buf_slice(&out), buf_slice(&expected)));
		/* Of the long ones, while there is room; then it grows by a copy. */
		if (size < 10000)
			assert_in_range(placed, text.len / 2, text.len);
	}
	limits.ratio = 1100;
	/* In two members: what the last says of its size is not the size of all. */
	for (size_t cut = 1; cut < text.len; cut += text.len / 3) {
		gzip.len = 0;
		add_gzip(&gzip, slice_of(text.data, cut));
		add_gzip(&gzip, slice_of(text.data + cut, text.len - cut));
		read_whole(buf_slice(&gzip), &out);
		assert_true(slice_equal(buf_slice(&out), buf_slice(&expected)));
		for (size_t size = 1000; size < 2 * gzip.len; size *= 3) {
			read_by(buf_slice(&gzip), size, &out);
			assert_true(slice_equal(buf_slice(&out), buf_slice(&expected)));
		}
	}
	buf_deinit(&text);
	buf_deinit(&gzip);
	buf_deinit(&out);
	buf_deinit(&expected);
	limits = limits_standard();
}

/* Much that follows a document in gzip fits where it is put aside, however large its place was. */
static void test_much_behind(void **state)
{
	(void)state;
	enum { FIRST = 100 * 1000, SECOND = 3 * 1000 * 1000 };
	struct buf text, gzip, out;
	buf_init(&text, ROOM);
	buf_init(&gzip, ROOM);
	buf_init(&out, ROOM);
	add_message(&text, FIRST);
	add_message(&text, SECOND);
	add_gzip(&gzip, buf_slice(&text));
	read_whole(buf_slice(&gzip), &out);
	assert_true(slice_equal(buf_slice(&out), SLICE_LITERAL("! line_length\n! line_length\n")));
	buf_deinit(&text);
	buf_deinit(&gzip);
	buf_deinit(&out);
}

/* Where octets may be put at once: in what a JSON document of a stream that was begun has free. */
static void test_room(void **state)
{
	(void)state;
	static const struct {
		const char *octets;
		size_t spaces; /* behind them */
		bool room;
	} rows[] = {
		{ "", 0, false },
		{ " \n", 40000, false },
		{ "2 1 eni-1", 20000, false },
		{ "\x1f\x8b", 0, false },
		{ "{", 0, false },
		{ "{", 40000, true },
		{ "{", 60000, false },
		{ "{}\n{\"message\":\"a", 40000, true },
		{ "{\"message\":\"a\"}", 40000, false },
	};
	struct buf octets;
	struct buf out;
	buf_init(&octets, ROOM);
	buf_init(&out, ROOM);
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct stats stats = { .events = 0 };
		struct payload *p = payload_new(PAYLOAD_STREAM, &limits, &stats);
		size_t room = 0;
		assert_non_null(p);
		octets.len = 0;
		add_text(&octets, rows[i].octets);
		for (size_t n = 0; n < rows[i].spaces; n++)
			add_text(&octets, " ");
		(void)feed(p, buf_slice(&octets), false, &out);
		char *to = payload_room(p, &room);
		assert_int_equal(to != NULL, rows[i].room);
		assert_in_range(room, rows[i].room ? 16 * 1024 : 0, rows[i].room ? 64 * 1024 : 0);
		if (to != NULL) {
			size_t held = payload_held(p);
			memset(to, ' ', room);
			assert_true(use(p, slice_of(to, room), false, &out));
			assert_int_equal(payload_held(p), held);
			assert_null(payload_room(p, &room));
		}
		payload_free(&p);
	}
	buf_deinit(&octets);
	buf_deinit(&out);
}

static void test_long_lines(void **state)
{
	(void)state;
	check_long_line("", LINE_LIMIT, "", true);
	check_long_line("", LINE_LIMIT + 1, "", false);
	check_long_line("", LINE_LIMIT + 2, "", false);
	check_long_line("", 3 * LINE_LIMIT, "", false);
	check_long_line("", LINE_LIMIT - 1, "\r", true);
	check_long_line("", LINE_LIMIT + 1, "\r", false);
}

/* White space before a line is no reason for the read size to matter. */
static void test_long_lines_and_spaces(void **state)
{
	(void)state;
	check_long_line("   ", LINE_LIMIT - 3, "", true);
	check_long_line("          ", LINE_LIMIT + 1, "", false);
	struct buf octets;
	struct buf one;
	struct buf other;
	buf_init(&octets, ROOM);
	buf_init(&one, ROOM);
	buf_init(&other, ROOM);
	add_line(&octets, "a\n     ", LINE_LIMIT, "\nb\n");
	read_by(buf_slice(&octets), 1 << 20, &one);
	for (size_t size = 1; size < 10; size++) {
		read_by(buf_slice(&octets), size, &other);
		if (!slice_equal(buf_slice(&one), buf_slice(&other)))
			fail_msg("reads of %zu: %.20s, in one: %.20s", size, other.data, one.data);
	}
	buf_deinit(&octets);
	buf_deinit(&one);
	buf_deinit(&other);
}

/* ---- what it holds -------------------------------------------------------------------------- */

/* What was put aside behind a document is let go once it is used. */
static void test_put_aside(void **state)
{
	(void)state;
	struct stats stats = { .events = 0 };
	struct payload *p = payload_new(PAYLOAD_STREAM, &limits, &stats);
	enum { BEGUN = 40 * 1000 }; /* of which a buffer has room for more */
	struct buf text;
	struct buf out;
	size_t placed = 0;
	buf_init(&text, ROOM);
	buf_init(&out, ROOM);
	assert_non_null(p);
	add_text(&text, "{\"message\":\"");
	while (text.len < BEGUN)
		add_text(&text, "a");
	assert_true(feed(p, buf_slice(&text), false, &out));
	assert_true(feed_placed(p, SLICE_LITERAL("a\"}\n \n"), &placed, &out));
	assert_int_equal(placed, 6);
	assert_true(payload_idle(p));
	assert_int_equal(payload_held(p), 0);
	payload_free(&p);
	buf_deinit(&text);
	buf_deinit(&out);
}

static void test_idle(void **state)
{
	(void)state;
	static const struct {
		const char *octets;
		bool idle;
	} rows[] = {
		{ "", true },	       { " \n", true }, { "a", false },
		{ "a\n", true },       { "{", false },	{ "{\"message\":\"a\"}", true },
		{ "\x1f\x8b", false },
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct stats stats = { .events = 0 };
		struct payload *p = payload_new(PAYLOAD_STREAM, &limits, &stats);
		struct buf out;
		buf_init(&out, ROOM);
		assert_non_null(p);
		assert_true(feed(p, slice_text(rows[i].octets), false, &out));
		if (payload_idle(p) != rows[i].idle)
			fail_msg("\"%s\" idle: %d", rows[i].octets, !rows[i].idle);
		if (rows[i].octets[0] == '{')
			assert_int_equal(payload_held(p) > 0, !rows[i].idle);
		payload_free(&p);
		buf_deinit(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files),	       cmocka_unit_test(test_mix),
		cmocka_unit_test(test_kinds),	       cmocka_unit_test(test_wrapped),
		cmocka_unit_test(test_batch),	       cmocka_unit_test(test_members),
		cmocka_unit_test(test_damage),	       cmocka_unit_test(test_gzip_cut),
		cmocka_unit_test(test_gzip_flipped),   cmocka_unit_test(test_gzip_second_member),
		cmocka_unit_test(test_depth),	       cmocka_unit_test(test_nesting_gzip),
		cmocka_unit_test(test_nesting_base64), cmocka_unit_test(test_caps),
		cmocka_unit_test(test_small_cap),      cmocka_unit_test(test_inflated_in_all),
		cmocka_unit_test(test_ratio),	       cmocka_unit_test(test_many_records),
		cmocka_unit_test(test_long_lines),     cmocka_unit_test(test_long_lines_and_spaces),
		cmocka_unit_test(test_idle),	       cmocka_unit_test(test_joined),
		cmocka_unit_test(test_joined_in_gzip), cmocka_unit_test(test_placed),
		cmocka_unit_test(test_room),	       cmocka_unit_test(test_much_behind),
		cmocka_unit_test(test_put_aside),
	};
	return cmocka_run_group_tests(tests, set_up, NULL);
}

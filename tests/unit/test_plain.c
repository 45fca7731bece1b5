/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proves of the fast way through a CloudWatch message that it is taken by what AWS writes, and by
 * nothing that is written in another way, and that both give the same events; that what it keeps is
 * bounded; and that questions about sixteen octets are answered alike by vectors and by plain C.
 */
#include "support.h"

#include "base/sixteen.h"
#include "decode/envelope.h"
#include "decode/logevents.h"
#include "decode/payload.h"

#define HEAD                                                                                       \
	"{\"messageType\":\"DATA_MESSAGE\",\"owner\":\"1\",\"subscriptionFilters\":[\"x\"],"       \
	"\"logEvents\":["
#define EVENT(id, time, message)                                                                   \
	"{\"id\":\"" id "\",\"timestamp\":" time ",\"message\":\"" message "\"}"
#define LINE  "2 123456789010 eni-1235b8ca123456789"
#define ID    "31953106606966983378809025079804211143289615424298221568"
#define PLAIN EVENT(ID, "1432917027", LINE)
#define SHORT EVENT(ID, "1432917027", "x")

/* What is behind the last event is needed for it to be looked at in sixteens. */
static const struct {
	const char *text;
	size_t plain;
	const char *events;
} rows[] = {
	{ HEAD "]}", 0, "" },
	{ HEAD PLAIN "],\"behind\":[1,2,3]}", 1, LINE "\n" },
	{ HEAD PLAIN "," PLAIN "," PLAIN "],\"behind\":[]}", 3, LINE "\n" LINE "\n" LINE "\n" },
	{ HEAD PLAIN "," EVENT("1", "2", "a\\\"b") "," PLAIN "]  ,  \"x\" : 0}", 2,
	  LINE "\na\"b\n" LINE "\n" },
	{ HEAD PLAIN ", " PLAIN " ," PLAIN "," PLAIN "],\"behind\":[]}", 3,
	  LINE "\n" LINE "\n" LINE "\n" LINE "\n" },
	{ HEAD "{\"message\":\"m\"},1,[" PLAIN "]," PLAIN "],\"behind\":[]}", 1,
	  "m\n!event\n!event\n" LINE "\n" },
	{ HEAD EVENT("", "0", "") "," EVENT("", "01", "x") "]}", 0, NULL },
	{ HEAD EVENT("", "-1", "x") "," EVENT("", "1.5", " y ") "],\"behind\":[1,2,3,4]}", 0,
	  "x\ny\n" },
	{ HEAD EVENT("\\u0031", "1", "x") "," EVENT("1", "1", "\xc3\xa4") "],\"behind\":[1,2]}", 1,
	  "x\n\xc3\xa4\n" },
	/* Another array of level 2 before, and one behind. */
	{ "{\"messageType\":\"DATA_MESSAGE\",\"a\":[" PLAIN "],\"logEvents\":[" PLAIN "]}", 1,
	  LINE "\n" },
	/* Less behind the second one's front than is compared at once. */
	{ HEAD SHORT "," SHORT "]}", 1, "x\nx\n" },
	{ HEAD PLAIN "],\"logEvents\":[" PLAIN "," PLAIN "],\"b\":[" PLAIN "]}", 1, LINE "\n" },
};

static void tell(struct document *d, struct buf *out)
{
	struct logevents events;
	struct event event;
	struct envelope e;
	struct fault fault;
	assert_true(envelope_open(&e, d, &fault) && d->kind == DOCUMENT_CLOUDWATCH);
	logevents_init(&events);
	logevents_open(&events, d);
	while (logevents_next(&events, &event)) {
		if (event.broken) {
			add_text(out, "!");
			add_text(out, fault_name(event.why));
		} else {
			assert_true(buf_add(out, event.text.data, event.text.len));
		}
		add_text(out, "\n");
	}
	logevents_deinit(&events);
}

/* NULL: no valid document. */
static void check(const char *text, size_t size, enum machine machine, size_t plain,
		  const char *events)
{
	struct document d = { .len = strlen(text) };
	struct buf out;
	struct json_scan s;
	struct fault fault;
	enum step step = STEP_MORE;
	d.text = malloc(d.len);
	assert_non_null(d.text);
	memcpy(d.text, text, d.len);
	buf_init(&out, 4096);
	plain_init(&d.plain);
	d.plain.run = plain_runner_of(machine);
	json_scan_init(&s, 32);
	s.plain = &d.plain;
	for (size_t done = 0, used; step == STEP_MORE; done += used) {
		size_t n = size < d.len - done ? size : d.len - done;
		step = json_scan(&s, slice_of(d.text + done, n), &used, &fault);
	}
	assert_int_equal(step, events == NULL ? STEP_BAD : STEP_OK);
	if (events != NULL) {
		tell(&d, &out);
		assert_true(slice_equal(buf_slice(&out), slice_text(events)));
		if (plain_count(&d.plain) != plain && size >= d.len)
			fail_msg("%s: %zu plain", text, plain_count(&d.plain));
	}
	buf_deinit(&out);
	document_deinit(&d);
}

static void test_rows(void **state)
{
	(void)state;
	for (unsigned machine = 0; machine <= machine_here(); machine++)
		for (size_t i = 0; i < COUNT_OF(rows); i++)
			for (size_t size = 1; size <= strlen(rows[i].text); size++)
				check(rows[i].text, size, (enum machine)machine, rows[i].plain,
				      rows[i].events);
}

/* A message of so many octets, of which one is given. */
static void check_message(size_t len, size_t at, char octet, enum machine machine, bool plain,
			  const char *events)
{
	struct buf text;
	buf_init(&text, 1 << 18);
	add_text(&text, HEAD "{\"id\":\"1\",\"timestamp\":1,\"message\":\"");
	for (size_t i = 0; i < len; i++)
		assert_true(buf_add(&text, i == at ? &octet : "m", 1));
	add_text(&text, "\"}," PLAIN "],\"behind\":[1,2,3]}");
	assert_true(buf_add(&text, "", 1));
	check(text.data, text.len, machine, plain ? 2 : 1, events);
	buf_deinit(&text);
}

/* Octets that a string may not have as they are, at any place of what is looked at together. */
static void test_octets(void **state)
{
	(void)state;
	enum { OCTETS = 130 };
	for (unsigned machine = 0; machine <= machine_here(); machine++)
		for (unsigned octet = 1; octet <= UINT8_MAX; octet++) {
			size_t at = octet * 7 % OCTETS;
			char c = (char)octet;
			char events[OCTETS + sizeof(LINE) + 4];
			if (c == '"' || c == '\\')
				continue;
			memset(events, 'm', OCTETS);
			(void)snprintf(events + OCTETS, sizeof(events) - OCTETS, "\n" LINE "\n");
			/* White space around it would be none of the event. */
			at = at == 0 || at == OCTETS - 1 ? 64 : at;
			events[at] = c;
			check_message(OCTETS, at, c, (enum machine)machine, true,
				      octet < ' ' ? NULL : events);
		}
}

/* Messages of more octets than are counted are read as any other, and those before and behind them. */
static void test_long_messages(void **state)
{
	(void)state;
	for (unsigned machine = 0; machine <= machine_here(); machine++)
		for (size_t len = UINT16_MAX - 2; len < UINT16_MAX + 40; len++)
			check_message(len, 0, 'm', (enum machine)machine, len <= UINT16_MAX,
				      "!line_length\n" LINE "\n");
}

/* As one that was scanned, with so many octets of what was found. */
static struct document scanned(size_t octets)
{
	struct document d = { .text = malloc(1), .len = 1 };
	assert_non_null(d.text);
	plain_init(&d.plain);
	assert_true(octets == 0 || buf_reserve(&d.plain.found, octets));
	return d;
}

/* Many documents keep no more of it than one may; what is let go is only a help. */
static void test_kept(void **state)
{
	(void)state;
	struct documents some;
	struct documents more;
	documents_init(&some);
	documents_init(&more);
	for (unsigned i = 0; i < 6; i++) {
		struct document d = scanned(PLAIN_MOST / 4);
		assert_true(documents_add(&some, &d));
		d = scanned(i % 2 == 0 ? PLAIN_MOST / 2 : 0);
		assert_true(documents_add(&more, &d));
	}
	assert_int_equal(some.plain, PLAIN_MOST);
	assert_int_equal(more.plain, PLAIN_MOST);
	for (unsigned i = 0; i < 3; i++)
		documents_drop_first(&some);
	assert_int_equal(some.plain, PLAIN_MOST / 4);
	documents_move(&some, &more);
	assert_int_equal(some.plain, PLAIN_MOST / 4 + PLAIN_MOST / 2);
	assert_int_equal(more.plain, 0);
	size_t kept = 0;
	for (const struct document *d = some.first; d != NULL; d = d->next)
		kept += d->plain.found.cap;
	assert_int_equal(kept, some.plain);
	while (!documents_empty(&some))
		documents_drop_first(&some);
	assert_int_equal(some.plain, 0);
	assert_int_equal(some.size, 0);
}

/* Of a document with more events than are kept, the others are read as any. */
static void test_more_than_kept(void **state)
{
	(void)state;
	enum { EVENTS = PLAIN_MOST / sizeof(struct plain_event) + 1000 };
	const struct slice plain = SLICE_LITERAL(EVENT("", "0", "m") ",");
	struct stats stats = { .events = 0 };
	struct limits limits = limits_standard();
	struct payload *p = payload_new(PAYLOAD_WHOLE, &limits, &stats);
	struct documents documents;
	struct logevents events;
	struct event event;
	struct fault fault;
	struct buf text;
	assert_non_null(p);
	documents_init(&documents);
	buf_init(&text, limits.payload);
	add_text(&text, HEAD);
	for (unsigned i = 0; i < EVENTS; i++)
		assert_true(buf_add(&text, plain.data, plain.len));
	add_text(&text, PLAIN "]}");
	struct slice in = buf_slice(&text);
	enum step step;
	while ((step = payload_next(p, &in, true, &documents, &fault)) == STEP_OK)
		assert_true(payload_held(p) + documents.size + documents.plain <
			    text.len + PLAIN_MOST + 2 * DOCUMENT_COST);
	assert_int_equal(step, STEP_MORE);
	assert_true(documents.first->borrowed);
	assert_int_equal(documents.plain, PLAIN_MOST);
	size_t count = 0;
	logevents_init(&events);
	logevents_open(&events, documents.first);
	while (logevents_next(&events, &event)) {
		assert_false(event.broken);
		assert_int_equal(event.text.len, count < EVENTS ? 1 : strlen(LINE));
		count++;
	}
	assert_int_equal(count, EVENTS + 1);
	logevents_deinit(&events);
	documents_free(&documents);
	payload_free(&p);
	buf_deinit(&text);
}

static void test_sixteen(void **state)
{
	(void)state;
	struct dice dice = { 1 };
	for (unsigned i = 0; i < 100000; i++) {
		char octets[SIXTEEN];
		for (unsigned k = 0; k < SIXTEEN; k++)
			octets[k] = (char)dice_below(&dice, i % 2 == 0 ? 256 : 128);
		assert_int_equal(sixteen_space(octets), sixteen_space_words(octets));
		assert_int_equal(sixteen_dot(octets), sixteen_dot_words(octets));
		assert_int_equal(sixteen_colon(octets), sixteen_colon_words(octets));
		assert_int_equal(sixteen_not_hex(octets), sixteen_not_hex_words(octets));
		assert_int_equal(sixteen_nul(octets), sixteen_nul_words(octets));
		assert_int_equal(sixteen_csv_special(octets), sixteen_csv_special_words(octets));
		assert_int_equal(sixteen_not_plain(octets), sixteen_not_plain_words(octets));
		assert_int_equal(sixteen_not_text(octets), sixteen_not_text_words(octets));
		assert_int_equal(sixteen_not_digit(octets), sixteen_not_digit_words(octets));
		char commas[2][SIXTEEN];
		sixteen_commas(commas[0], octets);
		sixteen_commas_words(commas[1], octets);
		assert_memory_equal(commas[0], commas[1], SIXTEEN);
		for (unsigned k = 0; k < SIXTEEN; k++) {
			assert_int_equal(commas[0][k], octets[k] == ' ' ? ',' : octets[k]);
			unsigned char c = (unsigned char)octets[k];
			bool plain = c >= 0x20 && c != '"' && c != '\\';
			assert_int_equal(sixteen_not_plain(octets) >> k & 1, !plain);
			assert_int_equal(sixteen_not_text(octets) >> k & 1, c < 0x20 || c > 0x7e);
			bool digit = c >= '0' && c <= '9';
			assert_int_equal(sixteen_not_digit(octets) >> k & 1, !digit);
			bool hex = digit || (c >= 'a' && c <= 'f');
			assert_int_equal(sixteen_not_hex(octets) >> k & 1, !hex);
		}
	}
}

/* What octet `k` of a pattern says of an octet. */
static bool unlike(char octet, char like, char vary)
{
	return (unsigned char)(octet ^ like) > (unsigned char)vary;
}

static void test_sixteen_unlike(void **state)
{
	(void)state;
	static const char most[] = { 0, 9, 9, 127, (char)128, (char)200, (char)255 };
	struct dice dice = { 2 };
	unsigned alike = 0;
	for (unsigned i = 0; i < 100000; i++) {
		char octets[SIXTEEN], like[SIXTEEN], vary[SIXTEEN];
		bool differs = false;
		for (unsigned k = 0; k < SIXTEEN; k++) {
			like[k] = (char)dice_below(&dice, 256);
			vary[k] = most[dice_below(&dice, COUNT_OF(most))];
			size_t away = dice_below(&dice, (unsigned char)vary[k] + 1u);
			if (dice_below(&dice, 24) == 0)
				away = dice_below(&dice, 256);
			octets[k] = (char)(like[k] ^ (char)away);
			differs |= unlike(octets[k], like[k], vary[k]);
		}
		assert_int_equal(sixteens_unlike(octets, like, vary, SIXTEEN), differs);
		assert_int_equal(sixteen_unlike_words(octets, like, vary), differs);
		alike += !differs;
	}
	assert_in_range(alike, 10000, 90000);
}

/* The verdict and the events of a document, with plain events looked for by run, or not. */
static enum step read_by(struct slice text, plain_runner run, struct buf *out, size_t *plain)
{
	struct document d = { .text = malloc(text.len), .len = text.len };
	struct json_scan s;
	struct fault fault;
	size_t used;
	assert_non_null(d.text);
	memcpy(d.text, text.data, text.len);
	plain_init(&d.plain);
	d.plain.run = run;
	json_scan_init(&s, 32);
	s.plain = run != NULL ? &d.plain : NULL;
	out->len = 0;
	enum step step = json_scan(&s, text, &used, &fault);
	if (step == STEP_OK) {
		d.len = used;
		tell(&d, out);
	}
	*plain = plain_count(&d.plain);
	document_deinit(&d);
	return step;
}

/* Every octet of an event that has one like it before, changed. */
static void check_not_alike(plain_runner run)
{
	static const char octets[] = "0193az \"\\,:{}]/\n\x7f\xc3";
	static const char text[] = HEAD PLAIN
		"," PLAIN "," PLAIN "],\"behind\":[1,2,3,4,5,6,7,8,9]}"
		"                                                    ";
	const size_t first = sizeof(HEAD PLAIN) - 1;
	char changed[sizeof(text)];
	struct buf with, without;
	size_t fewest = 3;
	buf_init(&with, 4096);
	buf_init(&without, 4096);
	for (size_t at = first; at < first + sizeof(PLAIN); at++) {
		for (size_t i = 0; i < sizeof(octets); i++) {
			size_t plain, none;
			memcpy(changed, text, sizeof(text));
			changed[at] = octets[i];
			struct slice in = slice_of(changed, sizeof(text) - 1);
			assert_int_equal(read_by(in, run, &with, &plain),
					 read_by(in, NULL, &without, &none));
			assert_true(slice_equal(buf_slice(&with), buf_slice(&without)));
			fewest = plain < fewest ? plain : fewest;
		}
	}
	assert_int_equal(fewest, 1);
	buf_deinit(&with);
	buf_deinit(&without);
}

static void test_not_alike(void **state)
{
	(void)state;
	for (unsigned machine = 0; machine <= machine_here(); machine++)
		check_not_alike(plain_runner_of((enum machine)machine));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),	       cmocka_unit_test(test_kept),
		cmocka_unit_test(test_more_than_kept), cmocka_unit_test(test_sixteen),
		cmocka_unit_test(test_sixteen_unlike), cmocka_unit_test(test_not_alike),
		cmocka_unit_test(test_octets),	       cmocka_unit_test(test_long_messages),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

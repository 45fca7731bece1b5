/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proves where an output goes, by rows: the text after the format, and what is made of it. What is
 * wrong is told apart by the reason given. And that a file which several write is opened anew once for
 * each HUP, in whatever order they come to it.
 */
#include "folder.h"

#include "base/log.h"
#include "deliver/destination.h"
#include "deliver/sink.h"

#define NOT_HOST "not HOST:PORT"
#define NO_SUCH	 "no such destination"

static const char *const kinds[] = {
	[DESTINATION_STDOUT] = "stdout", [DESTINATION_FILE] = "file", [DESTINATION_TCP] = "tcp",
	[DESTINATION_TLS] = "tls",	 [DESTINATION_UDP] = "udp",
};

/* kind, host or path, and port; or how the reason begins. */
static const struct {
	const char *text;
	const char *says;
} rows[] = {
	/* standard output and files */
	{ "-", "stdout" },
	{ "--", "file --" },
	{ "flows.csv", "file flows.csv" },
	{ "/var/log/a:b", "file /var/log/a:b" },
	{ "/var/log/flows of today", "file /var/log/flows of today" },
	{ "./-", "file ./-" },
	{ "tcp:", "file tcp:" },
	{ "tcp:/host:1", "file tcp:/host:1" },
	{ "host:4739", "file host:4739" },
	{ "", "no destination after the colon" },

	/* hosts */
	{ "tcp://collector:4739", "tcp collector 4739" },
	{ "udp://collector:4739", "udp collector 4739" },
	{ "tcp://a.b-c_d.example.com:1", "tcp a.b-c_d.example.com 1" },
	{ "tcp://192.0.2.1:65535", "tcp 192.0.2.1 65535" },
	{ "tcp://[2001:db8::1]:4739", "tcp 2001:db8::1 4739" },
	{ "udp://[::1]:4739", "udp ::1 4739" },
	{ "udp://[::ffff:192.0.2.1]:4739", "udp ::ffff:192.0.2.1 4739" },
	{ "tcp://[fe80::1%eth0]:4739", "tcp fe80::1%eth0 4739" },
	{ "tcp://[collector]:4739", "tcp collector 4739" },
	{ "tcp://-:4739", "tcp - 4739" },

	/* ports */
	{ "tcp://h:1", "tcp h 1" },
	{ "tls://[2001:db8::1]:4740", "tls 2001:db8::1 4740" },
	{ "tls://h", NOT_HOST },
	{ "tcp://h:00080", "tcp h 00080" },
	{ "tcp://h:0", NOT_HOST },
	{ "tcp://h:00000", NOT_HOST },
	{ "tcp://h:000080", NOT_HOST },
	{ "tcp://h:65536", NOT_HOST },
	{ "tcp://h:99999", NOT_HOST },
	{ "tcp://h:100000", NOT_HOST },
	{ "tcp://h:4294967297", NOT_HOST },
	{ "tcp://h:18446744073709551617", NOT_HOST },
	{ "tcp://h:-1", NOT_HOST },
	{ "tcp://h:+1", NOT_HOST },
	{ "tcp://h: 1", NOT_HOST },
	{ "tcp://h:1 ", NOT_HOST },
	{ "tcp://h:0x1", NOT_HOST },
	{ "tcp://h:http", NOT_HOST },
	{ "tcp://h:1/", NOT_HOST },
	{ "udp://h:4739/path", NOT_HOST },

	/* no host, no port, too much */
	{ "tcp://", NOT_HOST },
	{ "udp://", NOT_HOST },
	{ "tcp://h", NOT_HOST },
	{ "tcp://h:", NOT_HOST },
	{ "tcp://:4739", NOT_HOST },
	{ "tcp://[]:4739", NOT_HOST },
	{ "tcp://[:4739", NOT_HOST },
	{ "tcp://]:4739", NOT_HOST },
	{ "tcp://[::1]", NOT_HOST },
	{ "tcp://[::1:4739", NOT_HOST },
	{ "tcp://[::1]4739", NOT_HOST },
	{ "tcp://::1]:4739", NOT_HOST },
	{ "tcp://::1:4739", NOT_HOST },
	{ "tcp://[[::1]]:4739", NOT_HOST },
	{ "tcp://[::1]x:4739", NOT_HOST },
	{ "tcp://a:b:4739", NOT_HOST },
	{ "tcp://user@h:4739", NOT_HOST },
	{ "tcp://h/x:4739", NOT_HOST },
	{ "tcp:///h:4739", NOT_HOST },
	{ "tcp://a b:4739", NOT_HOST },
	{ "tcp://a\tb:4739", NOT_HOST },
	{ "tcp://a\x01:4739", NOT_HOST },
	{ "tcp://a\x7f:4739", NOT_HOST },
	{ "tcp://\xc3\xa4:4739", NOT_HOST },

	/* other schemes: no file is meant */
	{ "sctp://h:4739", NO_SUCH },
	{ "TCP://h:4739", NO_SUCH },
	{ "http://h", NO_SUCH },
	{ "file:///tmp/x", NO_SUCH },
	{ "://", NO_SUCH },
	{ "/tmp/x://y", NO_SUCH },
};

static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct destination d;
		const char *why = NULL;
		char says[128];
		bool ok = destination_parse(&d, rows[i].text, &why);
		if (ok) {
			(void)snprintf(says, sizeof(says), "%s%s%s%s%s", kinds[d.kind],
				       d.path == NULL ? "" : " ", d.path == NULL ? "" : d.path,
				       *d.port == '\0' ? "" : " ", d.port);
			assert_int_equal(destination_is_network(&d),
					 d.kind != DESTINATION_STDOUT &&
						 d.kind != DESTINATION_FILE);
		} else {
			(void)snprintf(says, sizeof(says), "%.*s", (int)strlen(rows[i].says), why);
		}
		if (strcmp(says, rows[i].says) != 0)
			fail_msg("%s: %s", rows[i].text, ok ? says : why);
		destination_deinit(&d);
		assert_null(d.path);
	}
}

/* The longest name, RFC 1035 section 3.1, and one octet more. */
static void test_long_names(void **state)
{
	(void)state;
	for (size_t len = 252; len <= 256; len++) {
		char text[512];
		struct destination d;
		const char *why;
		memset(text, 'a', sizeof(text));
		memcpy(text, "tcp://", 6);
		memcpy(text + 6 + len, ":4739", 6);
		assert_int_equal(destination_parse(&d, text, &why), len <= 253);
		if (d.path != NULL)
			assert_int_equal(strlen(d.path), len);
		destination_deinit(&d);
	}
}

static const struct {
	const char *a;
	const char *b;
	bool equal;
} pairs[] = {
	{ "-", "-", true },
	{ "-", "./-", false },
	{ "a", "a", true },
	{ "a", "b", false },
	{ "tcp://h:1", "tcp://h:1", true },
	{ "tcp://h:1", "tcp://h:2", false },
	{ "tcp://h:1", "tcp://g:1", false },
	{ "tcp://h:1", "udp://h:1", false },
	{ "tcp://h:1", "h", false },
	{ "tcp://[::1]:1", "tcp://[::1]:1", true },
};

static void test_equal(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(pairs); i++) {
		struct destination a;
		struct destination b;
		const char *why;
		assert_true(destination_parse(&a, pairs[i].a, &why));
		assert_true(destination_parse(&b, pairs[i].b, &why));
		if (destination_equal(&a, &b) != pairs[i].equal ||
		    destination_equal(&b, &a) != pairs[i].equal)
			fail_msg("%s, %s", pairs[i].a, pairs[i].b);
		destination_deinit(&a);
		destination_deinit(&b);
	}
}

static void test_a_file_is_opened_anew_once_for_each_hup(void **state)
{
	(void)state;
	static const struct {
		unsigned hup;
		bool opened;
	} hups[] = { { 1, true },  { 1, false }, { 2, true }, { 4, true },
		     { 3, false }, { 4, false }, { 5, true }, { 5, false } };
	char folder[TEMP_PATH];
	char path[2 * TEMP_PATH];
	const char *why;
	atomic_bool abort = false;
	struct sink *sink;
	struct output_config config = {
		.encoder.class = encoder_class_by_name(SLICE_LITERAL("ftsq")),
	};
	temp_folder(folder);
	folder_file(folder, "flows", path);
	assert_true(destination_parse(&config.destination, path, &why));
	assert_int_equal(sink_open(&sink, &config), 0);
	log_set_level(LOG_ERROR);
	for (size_t i = 0; i < COUNT_OF(hups); i++) {
		(void)unlink(path);
		assert_int_equal(sink_reopen(sink, hups[i].hup, &abort), 0);
		assert_int_equal(file_size(folder, "flows") == 0, hups[i].opened);
	}
	log_set_level(LOG_INFO);
	sink_close(&sink);
	destination_deinit(&config.destination);
	remove_folder(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_long_names),
		cmocka_unit_test(test_equal),
		cmocka_unit_test(test_a_file_is_opened_anew_once_for_each_hup),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

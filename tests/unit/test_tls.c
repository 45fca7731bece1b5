/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proves of TLS sessions that the same octets come out however ciphertext is cut and whatever room
 * there is, that a session at rest holds no buffer, who is let in and who is not and what is said of
 * it, and that nothing damaged or cut comes through as if it were whole. Both sides are ours here;
 * the integration tests have others.
 */
#include "support.h"

#include "base/tls.h"

static char folder[TEMP_PATH];

static const char *file(char path[TEMP_PATH * 2], const char *name)
{
	(void)snprintf(path, sizeof(char[TEMP_PATH * 2]), "%s/%s", folder, name);
	return path;
}

/* ---- contexts -------------------------------------------------------------------------------- */

/* By the names of files, NULL for none; "" when all is well. */
static const char *load(struct tls_context **context, enum tls_role role, const char *cert,
			const char *key, const char *ca)
{
	static const char *const files[] = {
		[TLS_CERT] = "cert",
		[TLS_KEY] = "key",
		[TLS_CA] = "ca",
	};
	static char says[TLS_WHY + 16];
	char paths[3][TEMP_PATH * 2];
	struct tls_mistake mistake;
	const struct tls_files given = {
		.cert = cert == NULL ? NULL : file(paths[0], cert),
		.key = key == NULL ? NULL : file(paths[1], key),
		.ca = ca == NULL ? NULL : file(paths[2], ca),
	};
	if (tls_context_load(context, role, &given, &mistake))
		return "";
	(void)snprintf(says, sizeof(says), "%s: %s", files[mistake.file], mistake.why);
	return says;
}

static struct tls_context *context(enum tls_role role, const char *cert, const char *key,
				   const char *ca)
{
	struct tls_context *c = NULL;
	assert_string_equal(load(&c, role, cert, key, ca), "");
	return c;
}

static const struct {
	const char *cert;
	const char *key;
	const char *ca;
	const char *says;
} mistakes[] = {
	{ "server.pem", "server.key", NULL, "" },
	{ "server.pem", "server.key", "ca.pem", "" },
	{ "none.pem", "server.key", NULL, "cert: No such file or directory" },
	{ "server.pem", "none.key", NULL, "key: No such file or directory" },
	{ "server.pem", "server.key", "none.pem", "ca: No such file or directory" },
	{ ".", "server.key", NULL, "cert: no certificate in it (PEM)" },
	{ "server.key", "server.key", NULL, "cert: no certificate in it (PEM)" },
	{ "server.pem", "server.pem", NULL, "key: no private key in it (PEM)" },
	{ "server.pem", "server.key", "server.key", "ca: no certificate in it (PEM)" },
	{ "server.pem", "client.key", NULL, "key: not the key of the certificate" },
	{ "server.pem", "sealed.key", NULL, "key: it has a passphrase" },
	{ "expired.pem", "expired.key", NULL, "cert: the certificate has expired" },
	{ "future.pem", "future.key", NULL, "cert: the certificate is not valid yet" },
};

static void test_files(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(mistakes); i++)
		for (enum tls_role role = TLS_LISTENER; role <= TLS_CLIENT; role++) {
			struct tls_context *c = NULL;
			const char *says = load(&c, role, mistakes[i].cert, mistakes[i].key,
						mistakes[i].ca);
			if (strcmp(says, mistakes[i].says) != 0)
				fail_msg("%s %s: %s", mistakes[i].cert, mistakes[i].key, says);
			assert_int_equal(c != NULL, *says == '\0');
			tls_context_free(&c);
		}
	struct tls_context *trusting = context(TLS_CLIENT, NULL, NULL, NULL);
	tls_context_free(&trusting);
	assert_null(trusting);
}

/* ---- two sides ------------------------------------------------------------------------------- */

enum { PLAIN_MOST = 1 << 20 };

struct side {
	struct tls_session *tls;
	struct buf plain; /* what it was sent */
	size_t room;	  /* of each read */
	enum step step;	  /* of the last call */
	bool ended;
};

struct pair {
	struct side listener;
	struct side client;
	size_t cut; /* octets given at a time */
};

static void side_begin(struct side *s, const struct tls_context *c, const char *host)
{
	*s = (struct side){ .tls = tls_session_new(c, host), .room = 4096, .step = STEP_MORE };
	assert_non_null(s->tls);
	buf_init(&s->plain, PLAIN_MOST);
}

static void side_end(struct side *s)
{
	tls_session_free(&s->tls);
	assert_null(s->tls);
	buf_deinit(&s->plain);
}

/* Goes on until there is nothing to do. */
static void side_advance(struct side *s)
{
	bool up = tls_is_up(s->tls);
	s->step = tls_handshake(s->tls);
	if (up)
		assert_int_equal(s->step, STEP_OK);
	while (s->step == STEP_OK && !s->ended) {
		char *room = malloc(s->room);
		size_t n;
		s->step = tls_read(s->tls, room, s->room, &n);
		assert_true(n <= s->room && (s->step == STEP_OK || n == 0));
		s->ended = s->step == STEP_OK && n == 0;
		assert_true(buf_add(&s->plain, room, n));
		free(room);
	}
}

/* Gives ciphertext, piece by piece, each of them gone after the call. */
static void side_give(struct side *to, struct slice octets, size_t cut)
{
	while (octets.len > 0 && to->step != STEP_BAD && !to->ended) {
		size_t n = octets.len < cut ? octets.len : cut;
		char *lent = malloc(n);
		memcpy(lent, octets.data, n);
		tls_give(to->tls, slice_of(lent, n));
		side_advance(to);
		free(lent);
		slice_skip(&octets, n);
	}
}

/* Whether there was something to carry. */
static bool carry(struct side *from, struct side *to, size_t cut)
{
	struct buf octets;
	tls_take_output(from->tls, &octets);
	bool any = octets.len > 0;
	side_give(to, buf_slice(&octets), cut);
	buf_deinit(&octets);
	return any;
}

static void pair_carry(struct pair *p)
{
	bool any = true;
	while (any) {
		any = carry(&p->client, &p->listener, p->cut);
		any = carry(&p->listener, &p->client, p->cut) || any;
	}
}

static void pair_begin(struct pair *p, struct tls_context *listener, struct tls_context *client,
		       const char *host, size_t cut)
{
	p->cut = cut;
	side_begin(&p->listener, listener, NULL);
	side_begin(&p->client, client, host);
	/* Sessions outlive what they were begun with. */
	tls_context_free(&listener);
	tls_context_free(&client);
	assert_false(tls_is_begun(p->listener.tls));
	side_advance(&p->client);
	pair_carry(p);
}

static void pair_end(struct pair *p)
{
	side_end(&p->listener);
	side_end(&p->client);
}

static void pair_usual(struct pair *p, size_t cut)
{
	pair_begin(p, context(TLS_LISTENER, "server.pem", "server.key", NULL),
		   context(TLS_CLIENT, NULL, NULL, "ca.pem"), "localhost", cut);
	assert_true(tls_is_up(p->listener.tls) && tls_is_up(p->client.tls));
}

static void fill(char *octets, size_t n)
{
	struct dice dice = { 4739 };
	for (size_t i = 0; i < n; i++)
		octets[i] = (char)dice_below(&dice, 256);
}

/* ---- octets ---------------------------------------------------------------------------------- */

static void test_every_cut(void **state)
{
	(void)state;
	static const size_t cuts[] = { 1, 2, 5, 7, 1000, 16389, 1 << 20 };
	static char sent[50000];
	fill(sent, sizeof(sent));
	for (size_t i = 0; i < COUNT_OF(cuts); i++) {
		struct pair p;
		pair_usual(&p, cuts[i]);
		p.listener.room = i % 2 == 0 ? 70000 : 999;
		assert_true(tls_write(p.client.tls, slice_of(sent, 1)));
		assert_true(tls_write(p.client.tls, slice_of(sent + 1, sizeof(sent) - 1)));
		assert_true(tls_write(p.client.tls, SLICE_NONE));
		assert_true(tls_write(p.listener.tls, SLICE_LITERAL("ACK a 5\n")));
		pair_carry(&p);
		assert_true(
			slice_equal(buf_slice(&p.listener.plain), slice_of(sent, sizeof(sent))));
		assert_true(slice_equal(buf_slice(&p.client.plain), SLICE_LITERAL("ACK a 5\n")));
		assert_false(p.listener.ended || p.client.ended);
		/* One side ends, the other may still answer. */
		tls_end(p.client.tls);
		pair_carry(&p);
		assert_true(p.listener.ended);
		assert_true(tls_write(p.listener.tls, SLICE_LITERAL("ACK b 5\n")));
		tls_end(p.listener.tls);
		pair_carry(&p);
		assert_true(p.client.ended);
		assert_true(slice_equal(buf_slice(&p.client.plain),
					SLICE_LITERAL("ACK a 5\nACK b 5\n")));
		pair_end(&p);
	}
}

/* Nothing is said to a client after the handshake: it may never read. */
static void test_no_tickets(void **state)
{
	(void)state;
	struct pair p;
	struct buf octets;
	pair_usual(&p, 4096);
	assert_true(tls_write(p.client.tls, SLICE_LITERAL("payload")));
	assert_true(carry(&p.client, &p.listener, 4096));
	tls_take_output(p.listener.tls, &octets);
	assert_int_equal(octets.len, 0);
	assert_null(octets.data);
	pair_end(&p);
}

/* What there is no room for stays, also when the lender's octets do not. */
static void test_room_that_comes_later(void **state)
{
	(void)state;
	static char sent[40000];
	char room[100];
	struct pair p;
	struct buf octets;
	struct buf got;
	size_t n;
	fill(sent, sizeof(sent));
	buf_init(&got, PLAIN_MOST);
	pair_usual(&p, 4096);
	struct tls_session *s = p.listener.tls;
	assert_false(tls_waiting(s));
	assert_true(tls_write(p.client.tls, slice_of(sent, sizeof(sent))));
	tls_take_output(p.client.tls, &octets);
	tls_give(s, buf_slice(&octets));
	assert_true(tls_waiting(s));
	assert_int_equal(tls_read(s, room, sizeof(room), &n), STEP_OK);
	assert_int_equal(n, sizeof(room));
	assert_true(buf_add(&got, room, n));
	assert_true(tls_keep(s));
	assert_true(tls_keep(s));
	memset(octets.data, 'x', octets.len);
	buf_deinit(&octets);
	while (tls_waiting(s) && tls_read(s, room, sizeof(room), &n) == STEP_OK)
		assert_true(buf_add(&got, room, n));
	assert_true(slice_equal(buf_slice(&got), slice_of(sent, sizeof(sent))));
	assert_false(tls_waiting(s));
	assert_int_equal(tls_read(s, room, sizeof(room), &n), STEP_MORE);
	assert_true(tls_keep(s));
	buf_deinit(&got);
	pair_end(&p);
}

/* ---- who ------------------------------------------------------------------------------------- */

/* What the listener and the client say in the end; - for nothing. */
static const struct {
	const char *server;    /* certificate of the listener */
	const char *client_ca; /* NULL: none is asked for */
	const char *client;    /* certificate of the client, or NULL */
	const char *ca;	       /* that it trusts */
	const char *host;
	const char *listener_says;
	const char *client_says;
} meetings[] = {
	{ "server", NULL, NULL, "ca.pem", "localhost", "-", "-" },
	{ "server", NULL, NULL, "ca.pem", "127.0.0.1", "-", "-" },
	{ "server", NULL, NULL, "ca.pem", "::1", "-", "-" },
	{ "server", NULL, "client", "ca.pem", "localhost", "-", "-" },
	{ "server", "ca.pem", "client", "ca.pem", "localhost", "-", "-" },
	{ "elsewhere", NULL, NULL, "ca.pem", "localhost",
	  "refused by the other side: sslv3 alert bad certificate",
	  "certificate refused: hostname mismatch" },
	{ "server", NULL, NULL, "ca.pem", "host",
	  "refused by the other side: sslv3 alert bad certificate",
	  "certificate refused: hostname mismatch" },
	{ "server", NULL, NULL, "ca.pem", "127.0.0.2",
	  "refused by the other side: sslv3 alert bad certificate",
	  "certificate refused: IP address mismatch" },
	{ "server", NULL, NULL, "stranger.pem", "localhost",
	  "refused by the other side: tlsv1 alert unknown ca",
	  "certificate refused: unable to get local issuer certificate" },
	{ "server", NULL, NULL, NULL, "localhost",
	  "refused by the other side: tlsv1 alert unknown ca",
	  "certificate refused: unable to get local issuer certificate" },
	{ "late", NULL, NULL, "past.pem", "localhost",
	  "refused by the other side: sslv3 alert certificate expired",
	  "certificate refused: certificate has expired" },
	{ "server", "ca.pem", NULL, "ca.pem", "localhost", "no client certificate",
	  "refused by the other side: tlsv13 alert certificate required" },
	{ "server", "ca.pem", "intruder", "ca.pem", "localhost",
	  "certificate refused: unable to get local issuer certificate",
	  "refused by the other side: tlsv1 alert unknown ca" },
};

static const char *says(const struct side *s, char text[TLS_WHY])
{
	return s->step == STEP_BAD ? tls_why(s->tls, text) : "-";
}

static void test_who(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(meetings); i++) {
		char names[4][32];
		char text[2][TLS_WHY];
		struct pair p;
		const char *client = meetings[i].client;
		(void)snprintf(names[0], sizeof(names[0]), "%s.pem", meetings[i].server);
		(void)snprintf(names[1], sizeof(names[1]), "%s.key", meetings[i].server);
		(void)snprintf(names[2], sizeof(names[2]), "%s.pem", client == NULL ? "" : client);
		(void)snprintf(names[3], sizeof(names[3]), "%s.key", client == NULL ? "" : client);
		pair_begin(&p, context(TLS_LISTENER, names[0], names[1], meetings[i].client_ca),
			   context(TLS_CLIENT, client == NULL ? NULL : names[2],
				   client == NULL ? NULL : names[3], meetings[i].ca),
			   meetings[i].host, 500);
		if (strcmp(says(&p.listener, text[0]), meetings[i].listener_says) != 0 ||
		    strcmp(says(&p.client, text[1]), meetings[i].client_says) != 0)
			fail_msg("%zu: %s / %s", i, says(&p.listener, text[0]),
				 says(&p.client, text[1]));
		bool good = strcmp(meetings[i].listener_says, "-") == 0;
		assert_int_equal(tls_is_up(p.listener.tls), good);
		assert_int_equal(tls_write(p.listener.tls, SLICE_LITERAL("x")), good);
		pair_end(&p);
	}
}

/* ---- what is wrong --------------------------------------------------------------------------- */

#define OCTETS(literal)                                                                            \
	{                                                                                          \
		(literal), sizeof(literal) - 1                                                     \
	}

/* A ClientHello of TLS 1.1, which names no newer version. */
#define HELLO_11                                                                                   \
	"\x16\x03\x01\x00\x2f\x01\x00\x00\x2b\x03\x02"                                             \
	"0123456789abcdef0123456789abcdef"                                                         \
	"\x00\x00\x04\xc0\x09\xc0\x0a\x01\x00"

static const struct {
	struct slice octets;
	const char *says;
} strange[] = {
	{ OCTETS("PUT a 5\nhello"), "not TLS: a client without TLS on a TLS port" },
	{ OCTETS("P"), "not TLS: a client without TLS on a TLS port" },
	{ OCTETS("AUTH x\n"), "not TLS: a client without TLS on a TLS port" },
	{ OCTETS("{\"awslogs\""), "not TLS: a client without TLS on a TLS port" },
	{ OCTETS("\x1f\x8b"), "not TLS: a client without TLS on a TLS port" },
	{ OCTETS("\0"), "not TLS: a client without TLS on a TLS port" },
	{ OCTETS("\x80\x2e\x01\x03\x01"), "not TLS: a client without TLS on a TLS port" },
	{ OCTETS(HELLO_11), "no TLS handshake: unsupported protocol" },
	{ OCTETS("\x16\x05\x01\x00\x05hello"), "no TLS handshake: wrong version number" },
	{ OCTETS("\x16\x03\x01\x00\x05hello"), "no TLS handshake: unexpected message" },
	{ OCTETS("\x16\x03\x01\xff\xff\x01"), "no TLS handshake: packet length too long" },
};

static void test_strange(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(strange); i++)
		for (size_t cut = 1; cut <= 100; cut += 99) {
			char text[TLS_WHY];
			struct side s;
			struct tls_context *c = context(TLS_LISTENER, "server.pem", "server.key",
							NULL);
			side_begin(&s, c, NULL);
			side_give(&s, strange[i].octets, cut);
			if (strcmp(says(&s, text), strange[i].says) != 0)
				fail_msg("%zu: %s", i, says(&s, text));
			/* It stays so, and takes nothing more. */
			assert_int_equal(tls_handshake(s.tls), STEP_BAD);
			assert_false(tls_write(s.tls, SLICE_LITERAL("x")));
			side_end(&s);
			tls_context_free(&c);
		}
}

static void test_a_collector_without_tls(void **state)
{
	(void)state;
	char text[TLS_WHY];
	struct side s;
	struct tls_context *c = context(TLS_CLIENT, NULL, NULL, "ca.pem");
	side_begin(&s, c, "localhost");
	side_advance(&s);
	side_give(&s, SLICE_LITERAL("220 welcome\r\n"), 100);
	assert_string_equal(says(&s, text), "not TLS: the other side does not speak it");
	side_end(&s);
	tls_context_free(&c);
}

/* Every octet of a record, changed: nothing comes of it. Cut anywhere: nothing, and no end. */
static void test_damage(void **state)
{
	(void)state;
	for (size_t at = 0; at < 40; at++)
		for (unsigned damaged = 0; damaged < 2; damaged++) {
			struct pair p;
			struct buf octets;
			pair_usual(&p, 4096);
			assert_true(tls_write(p.client.tls, SLICE_LITERAL("payload of 18 long")));
			tls_take_output(p.client.tls, &octets);
			assert_int_equal(octets.len, 40);
			octets.data[at] = (char)(octets.data[at] ^ 4);
			side_give(&p.listener, slice_of(octets.data, damaged ? octets.len : at), 7);
			/* A longer length waits for what is missing. */
			assert_true(p.listener.step == STEP_MORE || damaged);
			assert_true(p.listener.step == STEP_BAD || !damaged || at == 3 || at == 4);
			assert_false(p.listener.ended);
			assert_int_equal(p.listener.plain.len, 0);
			buf_deinit(&octets);
			pair_end(&p);
		}
}

static void test_sniff(void **state)
{
	(void)state;
	assert_int_equal(tls_sniff(SLICE_NONE), STEP_MORE);
	assert_int_equal(tls_sniff(SLICE_LITERAL("\x16")), STEP_MORE);
	assert_int_equal(tls_sniff(SLICE_LITERAL("\x16\x03")), STEP_OK);
	assert_int_equal(tls_sniff(SLICE_LITERAL("\x16\x03\x01\x02")), STEP_OK);
	assert_int_equal(tls_sniff(SLICE_LITERAL("\x16\x04")), STEP_BAD);
	assert_int_equal(tls_sniff(SLICE_LITERAL("PUT ")), STEP_BAD);
	assert_int_equal(tls_sniff(SLICE_LITERAL("\x1f\x8b")), STEP_BAD);
}

static void test_held_by_several(void **state)
{
	(void)state;
	struct tls_context *one = context(TLS_LISTENER, "server.pem", "server.key", NULL);
	struct tls_context *other = tls_context_share(one);
	tls_context_free(&one);
	struct side s;
	side_begin(&s, other, NULL);
	tls_context_free(&other);
	side_end(&s);
}

/* ---- the beginning --------------------------------------------------------------------------- */

static int make_certificates(void **state)
{
	char command[256];
	(void)state;
	(void)snprintf(folder, sizeof(folder), "/tmp/vpcflowd-test-XXXXXX");
	if (mkdtemp(folder) == NULL)
		return -1;
	(void)snprintf(command, sizeof(command), "%s %s", TEST_CERTIFICATES, folder);
	return system(command);
}

static int remove_certificates(void **state)
{
	char command[256];
	(void)state;
	(void)snprintf(command, sizeof(command), "rm -r %s", folder);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_every_cut),
		cmocka_unit_test(test_no_tickets),
		cmocka_unit_test(test_room_that_comes_later),
		cmocka_unit_test(test_who),
		cmocka_unit_test(test_strange),
		cmocka_unit_test(test_a_collector_without_tls),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_sniff),
		cmocka_unit_test(test_held_by_several),
	};
	return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}

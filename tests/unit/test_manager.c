/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proves what is read from a service manager's variables, that nobody after us reads them, and what
 * numbers are. What is told and taken by them is in tests/integration/test_systemd.py.
 */
#include "support.h"

#include "base/notify.h"
#include "base/number.h"
#include "receive/inherited.h"

static void test_number(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		uint64_t most;
		bool ok;
	} rows[] = {
		{ "0", 0, true },
		{ "1", 0, false },
		{ "5", 4, false },
		{ "4", 4, true },
		{ "10", 9, false },
		{ "00010", 10, true },
		{ "65535", 65535, true },
		{ "65536", 65535, false },
		{ "18446744073709551615", UINT64_MAX, true },
		{ "18446744073709551616", UINT64_MAX, false },
		{ "99999999999999999999", UINT64_MAX, false },
		{ "", 9, false },
		{ "-1", 9, false },
		{ "+1", 9, false },
		{ " 1", 9, false },
		{ "1 ", 9, false },
		{ "0x1", 9, false },
		{ "/", 99, false },
		{ ":", 99, false },
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		uint64_t n;
		if (number_parse(slice_text(rows[i].text), rows[i].most, &n) != rows[i].ok)
			fail_msg("\"%s\"", rows[i].text);
		if (rows[i].ok)
			assert_int_equal(n, strtoull(rows[i].text, NULL, 10));
	}
}

static const char *const variables[] = { "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID",
					 "LISTEN_PID",	  "LISTEN_FDS",	   "LISTEN_FDNAMES" };

static void set(const char *socket, const char *period, const char *process)
{
	const char *const values[] = { socket, period, process };
	for (size_t i = 0; i < COUNT_OF(values); i++) {
		(void)unsetenv(variables[i]);
		if (values[i] != NULL)
			(void)setenv(variables[i], values[i], 1);
	}
}

static void test_watchdog(void **state)
{
	(void)state;
	char self[32];
	(void)snprintf(self, sizeof(self), "%d", (int)getpid());
	const struct {
		const char *socket, *period, *process;
		bool told;
		uint64_t ms;
	} rows[] = {
		{ NULL, NULL, NULL, false, 0 },
		{ "", "30000000", NULL, false, 0 },
		{ NULL, "30000000", NULL, false, 0 },
		{ "relative", "30000000", NULL, false, 0 },
		{ "@a", NULL, NULL, true, 0 },
		{ "@a", "30000000", NULL, true, 15000 },
		{ "/a", "30000000", self, true, 15000 },
		{ "/a", "30000000", "1", true, 0 },
		{ "/a", "1", self, true, 1 },
		{ "/a", "0", self, true, 0 },
		{ "/a", "1s", self, true, 0 },
		{ "/a", "30000000", "-1", true, 0 },
		{ "/a", "18446744073709551615", NULL, true, 9223372036854775 },
	};
	int saved = stderr_redirect("/dev/null");
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct notify n;
		set(rows[i].socket, rows[i].period, rows[i].process);
		notify_init(&n);
		assert_int_equal(n.fd >= 0, rows[i].told);
		assert_int_equal(n.watchdog_ms, rows[i].ms);
		for (size_t k = 0; k < 3; k++)
			assert_null(getenv(variables[k]));
		notify_tell(&n, "WATCHDOG=1");
		notify_deinit(&n);
		assert_int_equal(n.fd, -1);
	}
	stderr_restore(saved);
}

/* The longest names, and one octet more. */
static void test_name_length(void **state)
{
	(void)state;
	char name[128];
	const size_t room = sizeof(((struct sockaddr_un *)NULL)->sun_path);
	int saved = stderr_redirect("/dev/null");
	for (size_t len = room - 1; len <= room; len++) {
		struct notify n;
		memset(name, 'x', len);
		name[0] = '@';
		name[len] = '\0';
		set(name, NULL, NULL);
		notify_init(&n);
		assert_int_equal(n.fd >= 0, len < room);
		if (n.fd >= 0)
			assert_int_equal(n.to_len, offsetof(struct sockaddr_un, sun_path) + len);
		notify_deinit(&n);
	}
	stderr_restore(saved);
}

static void test_inherited(void **state)
{
	(void)state;
	unsigned count = 7;
	char self[32];
	(void)snprintf(self, sizeof(self), "%d", (int)getpid());
	assert_true(inherited_take(&count));
	assert_int_equal(count, 0);
	const struct {
		const char *pid, *fds;
		bool ok;
	} rows[] = {
		{ self, "0", true },   { "1", "5", true },  { NULL, "1", true },
		{ self, NULL, true },  { "x", "1", false }, { self, "-1", false },
		{ self, "17", false },
	};
	int saved = stderr_redirect("/dev/null");
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		if (rows[i].pid != NULL)
			(void)setenv("LISTEN_PID", rows[i].pid, 1);
		if (rows[i].fds != NULL)
			(void)setenv("LISTEN_FDS", rows[i].fds, 1);
		(void)setenv("LISTEN_FDNAMES", "a", 1);
		assert_int_equal(inherited_take(&count), rows[i].ok);
		assert_int_equal(count, 0);
		for (size_t k = 3; k < COUNT_OF(variables); k++)
			assert_null(getenv(variables[k]));
	}
	stderr_restore(saved);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_number),
		cmocka_unit_test(test_watchdog),
		cmocka_unit_test(test_name_length),
		cmocka_unit_test(test_inherited),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

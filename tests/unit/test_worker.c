/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proves who has the next turn: a payload that needs few of them has them in a row, one that needs many
 * lets others in between, of which at most one has begun, and who yields goes to the end. And who may
 * hold more memory than there is: one at a time, for as long as that is needed.
 */
#include "support.h"

#include "config.h"
#include "worker.h"

enum { LOG_ROOM = 512, MANY = 100 };

/* One that wants turns. */
struct wish {
	struct turn turn;
	char name;
	unsigned keeps;	 /* turns that end with more to do, and memory held */
	unsigned yields; /* and after these, without */
	unsigned more;	 /* and then, as the first */
};

static struct config config;
static struct worker worker;
static char given[LOG_ROOM]; /* names, in the order of turns */
static size_t turns;

static enum turn_result on_turn(struct turn *turn)
{
	struct wish *wish = CONTAINER_OF(turn, struct wish, turn);
	assert_true(turns < LOG_ROOM - 1);
	given[turns++] = wish->name;
	if (wish->keeps > 0) {
		wish->keeps--;
		return TURN_KEEP;
	}
	if (wish->yields > 0) {
		wish->yields--;
		wish->keeps = wish->more;
		wish->more = 0;
		return TURN_YIELD;
	}
	return TURN_DONE;
}

static int set_up(void **state)
{
	(void)state;
	memset(given, 0, sizeof(given));
	turns = 0;
	config.limits = limits_standard();
	return worker_init(&worker, &config, 1) ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	return worker_close(&worker, true);
}

static void want(struct wish *wish, char name, unsigned keeps, unsigned yields)
{
	*wish = (struct wish){
		.turn = { .work = on_turn }, .name = name, .keeps = keeps, .yields = yields
	};
	worker_schedule(&worker, &wish->turn);
}

/* Until all have what they want. */
static void run(void)
{
	uv_run(&worker.loop, UV_RUN_NOWAIT);
	while (!TAILQ_EMPTY(&worker.turns))
		uv_run(&worker.loop, UV_RUN_NOWAIT);
}

/* How many turns the one of this name has in a row, from the first of them on. */
static unsigned in_a_row(char name)
{
	const char *first = strchr(given, name);
	unsigned n = 0;
	assert_non_null(first);
	while (first[n] == name)
		n++;
	return n;
}

static void few_turns_are_in_a_row(void **state)
{
	(void)state;
	struct wish a;
	struct wish b;
	struct wish c;
	want(&a, 'a', 10, 0);
	want(&b, 'b', 10, 0);
	want(&c, 'c', 0, 0);
	run();
	assert_string_equal(given, "aaaaaaaaaaabbbbbbbbbbbc");
}

static void a_large_one_lets_others_in(void **state)
{
	(void)state;
	struct wish large;
	struct wish small[3];
	want(&large, 'L', MANY, 0);
	for (size_t i = 0; i < COUNT_OF(small); i++)
		want(&small[i], (char)('a' + i), 0, 0);
	run();
	unsigned alone = in_a_row('L');
	assert_in_range(alone, 11, MANY / 4);
	assert_memory_equal(given + alone, "aLbLcLLL", 8);
	assert_int_equal(turns, MANY + 1 + COUNT_OF(small));
}

static void no_more_than_two_are_in_the_works(void **state)
{
	(void)state;
	struct wish large[3];
	for (size_t i = 0; i < COUNT_OF(large); i++)
		want(&large[i], (char)('A' + i), MANY, 0);
	run();
	const char *third = strchr(given, 'C');
	assert_non_null(third);
	/* Both before it have begun, and one of them has ended. */
	size_t a = 0;
	size_t b = 0;
	for (const char *p = given; p < third; p++) {
		a += *p == 'A';
		b += *p == 'B';
	}
	assert_true(a == MANY + 1 || b == MANY + 1);
	assert_int_equal(turns, COUNT_OF(large) * (MANY + 1));
}

static void who_yields_goes_to_the_end(void **state)
{
	(void)state;
	struct wish a;
	struct wish b;
	want(&a, 'a', 0, 2);
	want(&b, 'b', 0, 2);
	run();
	assert_string_equal(given, "ababab");
}

/* The turns of what came before do not count. */
static void another_payload_begins_anew(void **state)
{
	(void)state;
	struct wish a;
	struct wish b;
	want(&a, 'a', MANY, 0);
	run();
	memset(given, 0, sizeof(given));
	turns = 0;
	a.keeps = 5;
	worker_schedule(&worker, &a.turn);
	want(&b, 'b', 5, 0);
	run();
	assert_string_equal(given, "aaaaaabbbbbb");
}

/* Nor do those before it yielded. */
static void who_yields_begins_anew(void **state)
{
	(void)state;
	struct wish a;
	struct wish b;
	want(&a, 'a', MANY, 1);
	a.more = 5;
	want(&b, 'b', 2 * MANY, 0);
	run();
	const char *last = strrchr(given, 'a');
	assert_non_null(last);
	assert_memory_equal(last - 6, "baaaaaa", 7);
}

/* ---- memory ---------------------------------------------------------------------------------- */

static void on_room_again(struct hold *hold)
{
	(void)hold;
}

static void one_goes_beyond_the_limit(void **state)
{
	(void)state;
	const size_t limit = (size_t)config.limits.in_flight;
	struct hold a = { .room_again = on_room_again };
	struct hold b = { .room_again = on_room_again };
	assert_true(worker_hold(&worker, &a, limit + 1, true));
	assert_false(worker_hold(&worker, &b, 1, true));
	/* Less, and still beyond it. */
	assert_true(worker_hold(&worker, &b, 0, true));
	assert_true(worker_hold(&worker, &a, limit + 2, true));
	assert_false(worker_hold(&worker, &b, 1, true));
	/* What it needs now is there. */
	assert_true(worker_hold(&worker, &a, 1, true));
	assert_true(worker_hold(&worker, &b, limit, true));
	assert_false(worker_hold(&worker, &a, 2, true));
	worker_release(&worker, &b);
	assert_true(worker_hold(&worker, &a, limit + 1, true));
	worker_release(&worker, &a);
}

static unsigned woken;

static void on_woken(struct hold *hold)
{
	(void)hold;
	woken++;
}

/* Who would only be sent back is not asked; of those who fit none is left out for good. */
static void those_who_fit_are_woken(void **state)
{
	(void)state;
	enum { WAITING = 100 };
	const size_t limit = (size_t)config.limits.in_flight;
	const size_t part = limit / 10;
	struct hold all = { .room_again = on_woken };
	struct hold some[WAITING];
	woken = 0;
	assert_true(worker_hold(&worker, &all, limit, false));
	for (unsigned i = 0; i < WAITING; i++) {
		some[i] = (struct hold){ .room_again = on_woken };
		assert_false(worker_hold(&worker, &some[i], part, false));
	}
	assert_true(worker_hold(&worker, &all, limit - 3 * part, false));
	uv_run(&worker.loop, UV_RUN_NOWAIT);
	assert_int_equal(woken, 3);
	/* They need nothing any more. */
	for (unsigned i = 0; i < 3; i++)
		worker_release(&worker, &some[i]);
	uv_run(&worker.loop, UV_RUN_NOWAIT);
	assert_int_equal(woken, 6);
	/* Where nobody fits, all find out who goes beyond. */
	assert_false(worker_hold(&worker, &some[WAITING - 1], 2 * limit, false));
	for (unsigned i = 0; i < WAITING - 1; i++)
		worker_release(&worker, &some[i]);
	woken = 0;
	worker_release(&worker, &all);
	uv_run(&worker.loop, UV_RUN_NOWAIT);
	assert_int_equal(woken, 1);
	worker_release(&worker, &some[WAITING - 1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(those_who_fit_are_woken, set_up, tear_down),
		cmocka_unit_test_setup_teardown(few_turns_are_in_a_row, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_large_one_lets_others_in, set_up, tear_down),
		cmocka_unit_test_setup_teardown(no_more_than_two_are_in_the_works, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(who_yields_goes_to_the_end, set_up, tear_down),
		cmocka_unit_test_setup_teardown(another_payload_begins_anew, set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_yields_begins_anew, set_up, tear_down),
		cmocka_unit_test_setup_teardown(one_goes_beyond_the_limit, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

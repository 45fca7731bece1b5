/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proves that a payload reaches the outputs once, whether they take it as it comes, in part, or not
 * before the process has been started again; that it is known when it comes again; and that nothing
 * that fails on the way, be it memory, the disk or the peer, stops those behind it.
 */
#include "spool_rig.h"

#include <errno.h>

static int set_up(void **state)
{
	(void)state;
	rig_init();
	rig_start();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	if (rig.spool != NULL)
		rig_end();
	rig_deinit();
	return 0;
}

/* Without memory for an intake, so many times; linked in place of it (ld --wrap). */
static unsigned no_intakes;

struct intake *__real_intake_new(struct pipeline *p, enum payload_source source, const char *peer);
struct intake *__wrap_intake_new(struct pipeline *p, enum payload_source source, const char *peer);

struct intake *__wrap_intake_new(struct pipeline *p, enum payload_source source, const char *peer)
{
	if (no_intakes == 0)
		return __real_intake_new(p, source, peer);
	no_intakes--;
	return NULL;
}

static void assert_verdict(const struct rig_put *put, enum verdict_kind kind)
{
	assert_true(put->answered);
	assert_int_equal(put->verdict.kind, kind);
	if (kind == VERDICT_TAKEN || kind == VERDICT_BEFORE)
		assert_int_equal(put->verdict.flows, rig_records(put->payload));
}

/* The outputs got each record of these payloads so many times. */
static void assert_handed(unsigned first, unsigned last, unsigned times)
{
	for (unsigned p = first; p <= last; p++)
		for (unsigned i = 0; i < rig_records(p); i++)
			if (rig.handed[p][i] != times)
				fail_msg("payload %u record %u: %u times", p, i, rig.handed[p][i]);
}

static void assert_all_gone(void)
{
	rig_settle_all();
	rig_end();
	assert_int_equal(count_files(rig.folder, ".put"), 0);
	rig_start();
}

/* ---- the ways of a payload ------------------------------------------------------------------- */

static void test_straight(void **state)
{
	(void)state;
	for (unsigned p = 0; p < 10; p++) {
		struct rig_put *put = rig_put(0, p);
		rig_settle();
		assert_verdict(put, VERDICT_TAKEN);
	}
	assert_handed(0, 9, 1);
	assert_int_equal(rig.worker.stats.spool_replayed, 0);
	assert_all_gone();
	rig_settle();
	assert_handed(0, 9, 1);
}

static void test_replayed(void **state)
{
	(void)state;
	fake_output_room(0);
	for (unsigned p = 0; p < 20; p++)
		(void)rig_put(p, p);
	rig_settle();
	assert_handed(0, 19, 0);
	assert_int_equal(rig.worker.stats.acks, 0);
	for (const struct rig_put *put = rig.puts; put != NULL; put = put->next)
		assert_verdict(put, VERDICT_TAKEN);
	fake_output_room(UINT64_MAX);
	rig_settle();
	assert_handed(0, 19, 1);
	assert_int_equal(rig.worker.stats.spool_replayed, 20);
	assert_all_gone();
}

/* Outputs that fill up at every single flow. */
static void test_in_part(void **state)
{
	(void)state;
	for (unsigned room = 0; room < 14; room++) {
		memset(rig.handed, 0, sizeof(rig.handed));
		fake_output_room(room);
		for (unsigned p = 0; p < 10; p++)
			(void)rig_put(0, p);
		rig_settle();
		for (int i = 0; i < 100; i++) {
			fake_output_room(1);
			rig_settle();
		}
		fake_output_room(UINT64_MAX);
		assert_all_gone();
		assert_handed(0, 9, 1);
		disk_set_clock(7 * 3600 * (int64_t)(room + 1));
	}
}

static void test_again(void **state)
{
	(void)state;
	struct rig_put *put = rig_put(0, 1);
	struct rig_put *twin = rig_put(1, 1);
	struct rig_put *third = rig_put(2, 1);
	rig_settle();
	assert_verdict(put, VERDICT_TAKEN);
	assert_verdict(twin, VERDICT_BEFORE);
	assert_verdict(third, VERDICT_BEFORE);
	assert_verdict(rig_put(0, 1), VERDICT_BEFORE);
	rig_crash();
	rig_start();
	assert_verdict(rig_put(0, 1), VERDICT_BEFORE);
	disk_set_clock(6 * 3600 + 1);
	put = rig_put(0, 1);
	rig_settle();
	assert_verdict(put, VERDICT_TAKEN);
}

/* Peers that go away, at any time. */
static void test_leaving(void **state)
{
	(void)state;
	for (unsigned turns = 0; turns < 6; turns++) {
		memset(rig.handed, 0, sizeof(rig.handed));
		struct rig_put *put = rig_put(0, 3);
		struct rig_put *twin = rig_put(1, 3);
		rig_turn(turns);
		rig_leave(put);
		rig_settle();
		assert_handed(3, 3, 1);
		assert_true(twin->answered);
		assert_true(twin->verdict.kind <= VERDICT_BEFORE);
		disk_set_clock(7 * 3600 * (int64_t)(turns + 1));
	}
}

/* A twin whose peer goes away on hearing that it is converted, with another twin behind it. */
static void test_twin_leaves(void **state)
{
	(void)state;
	(void)rig_put(0, 3);
	struct rig_put *first = rig_put(1, 3);
	struct rig_put *second = rig_put(2, 3);
	second->leaves = true;
	rig_settle();
	assert_verdict(first, VERDICT_BEFORE);
	assert_handed(3, 3, 1);
}

/* ---- ends ------------------------------------------------------------------------------------ */

/*
 * The outputs got it, did not deliver it, and the process ends before its octets are safe: it was not
 * acknowledged, so it may be gone, but then it is not taken for known.
 */
static void test_end_before_stored(void **state)
{
	(void)state;
	struct rig_put *put = rig_put(0, 3);
	while (!put->converted)
		rig_turn(1);
	assert_false(put->answered);
	rig_end();
	memset(rig.handed, 0, sizeof(rig.handed));
	rig_start();
	put = rig_put(0, 3);
	rig_settle();
	assert_true(put->answered);
	assert_handed(3, 3, 1);
}

/* In the midst of a payload that is replayed. */
static void test_end_in_replay(void **state)
{
	(void)state;
	fake_output_room(0);
	for (unsigned p = 4; p < 20; p++)
		(void)rig_put(0, p);
	rig_settle();
	fake_output_room(2);
	rig_settle();
	rig_turn(5);
	assert_false(spool_is_between(rig.spool));
	rig_end();
	memset(rig.handed, 0, sizeof(rig.handed));
	rig_start();
	assert_all_gone();
	assert_handed(4, 19, 1);
}

/* ---- what fails ------------------------------------------------------------------------------ */

static void test_no_room(void **state)
{
	(void)state;
	fake_output_room(0);
	rig.config->limits.spool_max = 1;
	struct rig_put *put = rig_put(0, 1);
	rig_settle();
	assert_verdict(put, VERDICT_LATER);
	assert_string_equal(put->verdict.why, "spool full");
	rig.config->limits.spool_max = 1 << 20;
	disk_room(10);
	put = rig_put(0, 1);
	rig_settle();
	assert_verdict(put, VERDICT_LATER);
	assert_string_equal(put->verdict.why, "spool full");
	disk_room(UINT64_MAX);
	disk_fail(DISK_FDATASYNC, EIO, 1);
	put = rig_put(0, 1);
	rig_settle();
	assert_verdict(put, VERDICT_LATER);
	assert_string_equal(put->verdict.why, "spool error");
	put = rig_put(0, 1);
	rig_settle();
	assert_verdict(put, VERDICT_TAKEN);
	fake_output_room(UINT64_MAX);
	rig_settle();
	assert_handed(1, 1, 1);
	assert_false(spool_behind(rig.spool));
	assert_all_gone();
}

/* What got RETRY is not delivered, though the disk would not give up its octets either. */
static void test_failed_is_not_replayed(void **state)
{
	(void)state;
	fake_output_room(0);
	/* Behind one that is good, two at the beginnings of segments, and once more behind a good one. */
	for (unsigned p = 0; p < 6; p++) {
		bool fails = p == 1 || p == 2 || p == 4;
		disk_fail(DISK_FDATASYNC, EIO, fails);
		disk_fail(DISK_FTRUNCATE, EIO, fails);
		struct rig_put *put = rig_put(0, p);
		rig_settle();
		assert_verdict(put, fails ? VERDICT_LATER : VERDICT_TAKEN);
	}
	fake_output_room(UINT64_MAX);
	rig_settle();
	assert_handed(0, 0, 1);
	assert_handed(1, 2, 0);
	assert_handed(3, 3, 1);
	assert_handed(4, 4, 0);
	assert_handed(5, 5, 1);
	assert_int_equal(rig.worker.stats.spool_damaged, 0);
	assert_all_gone();
}

/* Memory does not grow with payloads that have nothing to be delivered while the outputs stall. */
static void test_without_flows(void **state)
{
	(void)state;
	(void)rig_put(0, 1);
	rig_settle();
	rig.without_flows = true;
	for (unsigned i = 0; i < 200; i++) {
		(void)rig_put(0, 0);
		rig_settle();
	}
	unsigned waiting = 0;
	const struct delivery *d;
	TAILQ_FOREACH(d, &rig.worker.deliveries, link)
		waiting++;
	assert_int_equal(rig.worker.stats.spooled, 201);
	assert_true(waiting <= 2);
	rig.without_flows = false;
	(void)rig_put(0, 2);
	assert_all_gone();
	assert_handed(1, 2, 1);
}

/* What the outputs have got already waits for them instead. */
static void test_no_room_but_delivered(void **state)
{
	(void)state;
	disk_fail(DISK_WRITEV, ENOSPC, 1);
	struct rig_put *put = rig_put(0, 1);
	rig_turn(20);
	usleep(10000);
	rig_turn(20);
	assert_false(put->answered);
	rig_settle_all();
	assert_verdict(put, VERDICT_TAKEN);
	assert_handed(1, 1, 1);
	assert_all_gone();
}

static void test_no_memory_to_take(void **state)
{
	(void)state;
	no_intakes = 1;
	struct rig_put *put = rig_put(0, 1);
	struct rig_put *twin = rig_put(1, 1);
	rig_settle();
	assert_verdict(put, VERDICT_LATER);
	assert_verdict(twin, VERDICT_TAKEN);
	no_intakes = 1;
	put = rig_put(0, 2);
	put->leaves = true;
	rig_settle();
	put = rig_put(0, 2);
	rig_settle();
	assert_verdict(put, VERDICT_TAKEN);
	assert_all_gone();
}

static void test_no_memory_to_replay(void **state)
{
	(void)state;
	fake_output_room(0);
	for (unsigned p = 0; p < 10; p++) {
		(void)rig_put(0, p);
		rig_settle();
	}
	/* Several frames have been read by now. */
	usleep(10000);
	rig_turn(10);
	no_intakes = 1;
	fake_output_room(UINT64_MAX);
	rig_settle();
	assert_int_equal(no_intakes, 0);
	assert_handed(0, 9, 1);
	assert_all_gone();
}

/* Changes octets of the last segment there is, at the place where the text stands first. */
static void damage(const char *text)
{
	char name[SEGMENT_NAME];
	char path[2 * TEMP_PATH];
	struct buf octets;
	segment_name(1, ".put", name);
	folder_file(rig.folder, name, path);
	buf_init(&octets, SIZE_MAX / 2);
	add_file(&octets, path);
	char *at = memmem(octets.data, octets.len, text, strlen(text));
	assert_non_null(at);
	at[0] ^= 1;
	int fd = open(path, O_WRONLY);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, octets.data, octets.len, 0), octets.len);
	close(fd);
	buf_deinit(&octets);
}

/*
 * Damage costs what it touches and no more, also a payload that the outputs have part of. The first
 * try to read fails, so that nothing has been read before it is damaged.
 */
static void test_damage(void **state)
{
	(void)state;
	(void)rig_put(0, 0);
	rig_settle();
	disk_fail(DISK_OPENAT, EIO, 1);
	fake_output_room(2);
	for (unsigned p = 5; p < 12; p++)
		(void)rig_put(0, p);
	rig_settle();
	rig_turn(20);
	damage(" 6 5 0 1418530010");
	damage(" 6 8 0 1418530010");
	damage(" 6 11 0 1418530010");
	fake_output_room(UINT64_MAX);
	rig_settle();
	assert_handed(0, 0, 1);
	assert_int_equal(rig.handed[5][0] + rig.handed[5][1], 2);
	assert_int_equal(rig.handed[5][2], 0);
	assert_handed(6, 7, 1);
	assert_handed(8, 8, 0);
	assert_handed(9, 10, 1);
	assert_handed(11, 11, 0);
	assert_int_equal(rig.worker.stats.spool_damaged, 3);
	assert_all_gone();
	assert_int_equal(count_files(rig.folder, ".kept"), 1);
}

/* A smaller --max-payload is for payloads to come; what was acknowledged is told of and kept. */
static void test_smaller_limit(void **state)
{
	(void)state;
	fake_output_room(0);
	(void)rig_put(0, 0);
	(void)rig_put(0, 5);
	(void)rig_put(0, 6);
	rig_settle();
	rig.config->limits.payload = 200;
	fake_output_room(UINT64_MAX);
	rig_settle();
	assert_handed(0, 0, 1);
	assert_handed(5, 6, 1);
	assert_int_equal(rig.worker.stats.spool_damaged, 0);
	assert_all_gone();
}

#define SPOOL_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SPOOL_TEST(test_straight),
		SPOOL_TEST(test_replayed),
		SPOOL_TEST(test_in_part),
		SPOOL_TEST(test_again),
		SPOOL_TEST(test_leaving),
		SPOOL_TEST(test_twin_leaves),
		SPOOL_TEST(test_end_before_stored),
		SPOOL_TEST(test_end_in_replay),
		SPOOL_TEST(test_no_room),
		SPOOL_TEST(test_failed_is_not_replayed),
		SPOOL_TEST(test_without_flows),
		SPOOL_TEST(test_no_room_but_delivered),
		SPOOL_TEST(test_no_memory_to_take),
		SPOOL_TEST(test_no_memory_to_replay),
		SPOOL_TEST(test_damage),
		SPOOL_TEST(test_smaller_limit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proves that appends are on disk, in order, before they are done; that those that wait share one
 * sync; that what is delivered goes, and nothing else, over any end of the process; that a disk that
 * is full or broken costs the payloads that it could not take and no other.
 */
#include "folder.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/log.h"
#include "disk.h"
#include "spool/store.h"

enum { SEGMENT_SIZE = 1000, PAYLOADS = 64, HOUR = 3600 };

struct payload {
	struct append append;
	char text[64];
	bool done;
	unsigned turn; /* the how many-th to be done */
};

static struct {
	char folder[TEMP_PATH];
	uv_loop_t loop;
	struct seen *seen;
	struct store *store;
	struct store_state state;
	struct payload payload[PAYLOADS];
	unsigned payloads;
	unsigned done;
} rig;

/* ---- the rig --------------------------------------------------------------------------------- */

static int open_in(const char *path)
{
	rig.seen = seen_new(1000, 24 * HOUR);
	assert_non_null(rig.seen);
	assert_int_equal(uv_loop_init(&rig.loop), 0);
	return store_open(&rig.store, path, SEGMENT_SIZE, &rig.loop, rig.seen, &rig.state);
}

static void end_loop(void)
{
	uv_run(&rig.loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&rig.loop), 0);
	store_free(&rig.store);
	seen_free(&rig.seen);
}

static void start(void)
{
	assert_int_equal(open_in(rig.folder), 0);
}

static void end(bool empty)
{
	store_close(rig.store, empty);
	end_loop();
}

/* As kill -9 leaves it, and with a disk that works at the next start. */
static void crash(void)
{
	disk_cut(true);
	end(false);
	disk_cut(false);
}

static int set_up(void **state)
{
	(void)state;
	memset(&rig, 0, sizeof(rig));
	log_set_level(LOG_ERROR);
	temp_folder(rig.folder);
	start();
	disk_reset();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	if (rig.store != NULL)
		end(false);
	remove_folder(rig.folder);
	return 0;
}

static void on_done(struct append *a)
{
	struct payload *p = (struct payload *)a;
	assert_false(p->done);
	p->done = true;
	p->turn = rig.done++;
}

/* To be appended. */
static struct payload *prepare(const char *text)
{
	assert_true(rig.payloads < PAYLOADS);
	struct payload *p = &rig.payload[rig.payloads++];
	(void)snprintf(p->text, sizeof(p->text), "%s", text);
	p->append.octets = slice_text(p->text);
	p->append.payload.seconds = (int64_t)time(NULL);
	p->append.payload.flows = rig.payloads;
	p->append.done = on_done;
	assert_true(digest_of(p->append.octets, &p->append.payload.digest));
	return p;
}

static struct payload *append(const char *text)
{
	struct payload *p = prepare(text);
	store_append(rig.store, &p->append);
	return p;
}

/* Until nothing appended waits any more. */
static void run(void)
{
	while (rig.done < rig.payloads)
		uv_run(&rig.loop, UV_RUN_ONCE);
}

/* Appends and waits. */
static struct payload *put(const char *text)
{
	struct payload *p = append(text);
	run();
	return p;
}

static struct payload *put_good(const char *text)
{
	struct payload *p = put(text);
	assert_int_equal(p->append.error, 0);
	return p;
}

static bool knows(const struct payload *p)
{
	struct seen_payload found;
	return seen_find(rig.seen, &p->append.payload.digest, (int64_t)time(NULL), &found) &&
	       found.flows == p->append.payload.flows;
}

/* Reads everything from a place on: which of the payloads are there, in how much damage. */
static unsigned read_back(struct place from, char texts[PAYLOADS][64], unsigned *damages)
{
	struct segment_reader r;
	struct place until = { 1000, 0 };
	unsigned count = 0;
	unsigned damaged = 0;
	segment_reader_init(&r, store_folder(rig.store), from, 4096);
	for (;;) {
		struct spooled p;
		enum step step = segment_next(&r, until, &p);
		assert_int_not_equal(step, STEP_BAD);
		damaged += r.damage.octets > 0;
		if (step == STEP_OK) {
			assert_true(count < PAYLOADS && p.len < 64);
			memcpy(texts[count], p.data, p.len);
			texts[count++][p.len] = '\0';
			spooled_deinit(&p);
		} else if (r.damage.octets == 0) {
			break;
		}
	}
	segment_reader_deinit(&r);
	if (damages != NULL)
		*damages = damaged;
	return count;
}

/* That these texts, one after another with spaces between, are what is there. */
static void assert_stored(struct place from, const char *expected)
{
	static char texts[PAYLOADS][64];
	char all[PAYLOADS * 64] = "";
	unsigned count = read_back(from, texts, NULL);
	for (unsigned i = 0; i < count; i++) {
		size_t len = strlen(all);
		(void)snprintf(all + len, sizeof(all) - len, "%s%s", i > 0 ? " " : "", texts[i]);
	}
	assert_string_equal(all, expected);
}

static const struct place beginning = { 1, 0 };

static uint64_t octets_on_disk(void)
{
	uint64_t octets = 0;
	for (uint64_t n = 1; n < 100; n++) {
		char name[SEGMENT_NAME];
		segment_name(n, ".put", name);
		long long size = file_size(rig.folder, name);
		octets += size > 0 ? (uint64_t)size : 0;
	}
	return octets;
}

/* Returns once what lies before the place is gone. */
static void deliver(struct place to)
{
	char name[SEGMENT_NAME];
	segment_name(to.segment - 1, ".put", name);
	store_delivered(rig.store, to);
	for (int i = 0; i < 5000 && file_size(rig.folder, name) >= 0; i++)
		usleep(1000);
	(void)put("after delivery");
}

static uint64_t frame_octets(const struct payload *p)
{
	return p->append.end.offset - p->append.at.offset;
}

/* ---- appending ------------------------------------------------------------------------------- */

static void test_groups(void **state)
{
	(void)state;
	disk_hold(true);
	struct payload *first = append("first");
	disk_wait_for_sync();
	assert_false(first->done);
	for (int i = 0; i < 5; i++) {
		char text[8];
		(void)snprintf(text, sizeof(text), "%d", i);
		(void)append(text);
	}
	uv_run(&rig.loop, UV_RUN_NOWAIT);
	assert_int_equal(rig.done, 0);
	disk_hold(false);
	run();
	assert_int_equal(disk_count(DISK_FDATASYNC), 2);
	for (unsigned i = 0; i < rig.payloads; i++) {
		const struct payload *p = &rig.payload[i];
		assert_int_equal(p->append.error, 0);
		assert_int_equal(p->turn, i);
		assert_int_equal(p->append.at.segment, 1);
		assert_int_equal(p->append.at.offset,
				 i == 0 ? 0 : rig.payload[i - 1].append.end.offset);
	}
	assert_stored(beginning, "first 0 1 2 3 4");
	assert_int_equal(store_octets(rig.store), octets_on_disk());
}

static void test_rotation(void **state)
{
	(void)state;
	disk_hold(true);
	(void)append("held");
	disk_wait_for_sync();
	for (int i = 0; i < 40; i++)
		(void)append("a group that is larger than a segment");
	disk_hold(false);
	run();
	struct place before = { 0, 0 };
	for (unsigned i = 0; i < rig.payloads; i++) {
		const struct append *a = &rig.payload[i].append;
		assert_int_equal(a->error, 0);
		assert_true(place_compare(before, a->at) <= 0);
		assert_true(a->at.offset < SEGMENT_SIZE);
		before = a->end;
	}
	assert_true(before.segment >= 4);
	assert_int_equal(count_files(rig.folder, ".put"), before.segment);
	/* Each segment was synced before the next was begun. */
	assert_int_equal(disk_count(DISK_FDATASYNC), 1 + before.segment);
	assert_int_equal(store_octets(rig.store), octets_on_disk());
}

static void test_refused(void **state)
{
	(void)state;
	struct payload *p = &rig.payload[rig.payloads++];
	p->append.done = on_done;
	store_refuse(rig.store, &p->append, -EDQUOT);
	assert_false(p->done);
	run();
	assert_int_equal(p->append.error, -EDQUOT);
	assert_int_equal(store_octets(rig.store), 0);
	assert_int_equal(count_files(rig.folder, ".put"), 0);
}

static void test_close_while_waiting(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++)
		(void)append("waiting");
	end(false);
	assert_int_equal(rig.done, 0);
	start();
	assert_stored(beginning, "waiting waiting waiting waiting waiting");
	assert_true(knows(&rig.payload[4]));
}

/* ---- what is delivered ----------------------------------------------------------------------- */

static void test_delivered(void **state)
{
	(void)state;
	for (int i = 0; i < 30; i++)
		(void)put_good("some text that fills segments");
	struct place last = rig.payload[29].append.at;
	assert_true(last.segment >= 3);
	deliver((struct place){ 2, 0 });
	assert_int_equal(file_size(rig.folder, "0000000000000001.put"), -1);
	assert_true(file_size(rig.folder, "0000000000000002.put") > 0);
	deliver(last);
	char name[SEGMENT_NAME];
	segment_name(last.segment - 1, ".put", name);
	assert_int_equal(file_size(rig.folder, name), -1);
	assert_int_equal(store_octets(rig.store), octets_on_disk());
	crash();
	start();
	assert_int_equal(place_compare(rig.state.delivered, last), 0);
	assert_true(rig.state.end.segment > last.segment);
	assert_int_equal(rig.state.end.offset, 0);
	assert_stored(rig.state.delivered,
		      "some text that fills segments after delivery after delivery");
	/* Everything is delivered: nothing stays. */
	end(true);
	assert_int_equal(count_files(rig.folder, ".put"), 0);
	start();
	assert_int_equal(store_octets(rig.store), 0);
	assert_true(knows(&rig.payload[29]));
}

/* A position that tells nothing: better twice than never. */
static void test_bad_position(void **state)
{
	(void)state;
	static const char *const texts[] = {
		"",
		"0000000000000002",
		"0000000000000002 00000000000000000000",
		"0000000000000002 0000000000000000000x\n",
		"000000000000000X 00000000000000000000\n",
		"0000000000000002-00000000000000000000\n",
		"0000000000000002 00000000000000000000\nx",
		"00000000000000ff 00000000000000000000\n",
		"0000000000000000 00000000000000000000\n",
		"ffffffffffffffff 99999999999999999999\n",
	};
	for (int i = 0; i < 20; i++)
		(void)put_good("some text that fills segments");
	uint64_t octets = store_octets(rig.store);
	for (size_t i = 0; i < COUNT_OF(texts); i++) {
		end(false);
		write_file(rig.folder, "position", slice_text(texts[i]));
		start();
		assert_int_equal(place_compare(rig.state.delivered, beginning), 0);
		assert_int_equal(store_octets(rig.store), octets);
	}
	end(false);
	write_file(rig.folder, "position",
		   SLICE_LITERAL("0000000000000002 00000000000000000000\n"));
	start();
	assert_int_equal(rig.state.delivered.segment, 2);
	assert_int_equal(file_size(rig.folder, "0000000000000001.put"), -1);
	assert_int_equal(store_octets(rig.store), octets_on_disk());
}

/*
 * What an earlier life noted says nothing of segments that came after it: killed when all was
 * delivered, killed again when nothing could be.
 */
static void test_stale_position(void **state)
{
	(void)state;
	for (int i = 0; i < 15; i++)
		(void)put_good("some text that fills segments");
	end(false);
	start();
	store_delivered(rig.store, rig.state.end);
	for (int i = 0; i < 5000 && store_octets(rig.store) > 0; i++)
		usleep(1000);
	crash();
	assert_int_equal(count_files(rig.folder, ".put"), 0);
	start();
	unsigned before = rig.payloads;
	for (int i = 0; i < 45; i++)
		(void)put_good("others that are not delivered");
	struct place first = rig.payload[before].append.at;
	crash();
	start();
	assert_int_equal(place_compare(rig.state.delivered, first), 0);
	static char texts[PAYLOADS][64];
	assert_int_equal(read_back(rig.state.delivered, texts, NULL), 45);
}

/* Killed between the note that all is delivered and the removal of it. */
static void test_all_delivered(void **state)
{
	(void)state;
	(void)put_good("text");
	end(false);
	write_file(rig.folder, "position",
		   SLICE_LITERAL("0000000000000002 00000000000000000000\n"));
	start();
	assert_stored(rig.state.delivered, "");
	assert_int_equal(count_files(rig.folder, ".put"), 0);
	struct payload *p = put_good("more");
	crash();
	start();
	assert_int_equal(place_compare(rig.state.delivered, p->append.at), 0);
	assert_stored(rig.state.delivered, "more");
}

static void wait_empty(void)
{
	for (int i = 0; i < 5000 && store_octets(rig.store) > 0; i++)
		usleep(1000);
	assert_int_equal(store_octets(rig.store), 0);
	assert_int_equal(octets_on_disk(), 0);
}

/* The segment that is written goes too, once it has grown, and all of it is delivered. */
static void test_delivered_before_full(void **state)
{
	(void)state;
	struct payload *p = put_good("a little");
	deliver(p->append.end);
	assert_int_equal(p->append.end.segment, rig.payload[1].append.at.segment);
	while (p->append.end.offset < SEGMENT_SIZE / 2)
		p = put_good("text that fills half a segment");
	struct place end = p->append.end;
	store_delivered(rig.store, end);
	wait_empty();
	p = put_good("next");
	assert_int_equal(p->append.at.segment, end.segment + 1);
	crash();
	start();
	assert_stored(rig.state.delivered, "next");
	/* All in the last life's segments, none begun in this one. */
	store_delivered(rig.store, rig.state.end);
	wait_empty();
}

/* Neither the disk nor the limit is full of what is delivered. */
static void test_room_by_delivery(void **state)
{
	(void)state;
	struct payload *p = put_good("a little");
	store_delivered(rig.store, p->append.end);
	disk_room(30);
	assert_int_equal(put("no space")->append.error, -ENOSPC);
	wait_empty();
	disk_room(UINT64_MAX);
	p = put_good("a little");
	struct place at = p->append.at;
	uint64_t most = store_octets(rig.store) + 10;
	p = prepare("not delivered");
	p->append.most = most;
	store_append(rig.store, &p->append);
	run();
	assert_int_equal(p->append.error, -EDQUOT);
	assert_int_equal(store_octets(rig.store), octets_on_disk());
	store_delivered(rig.store, rig.payload[2].append.end);
	struct payload *first = prepare("fits once that is delivered");
	struct payload *second = prepare("but not two");
	first->append.most = second->append.most = most + 30;
	store_append(rig.store, &first->append);
	store_append(rig.store, &second->append);
	run();
	assert_int_equal(first->append.error, 0);
	assert_int_equal(first->append.at.segment, at.segment + 1);
	assert_int_equal(second->append.error, -EDQUOT);
	assert_int_equal(store_octets(rig.store), octets_on_disk());
	assert_stored(first->append.at, "fits once that is delivered");
}

static void test_kept(void **state)
{
	(void)state;
	(void)put_good("text");
	store_keep(rig.store, 1);
	store_keep(rig.store, 1);
	store_keep(rig.store, 7); /* is not there */
	end(true);
	assert_int_equal(count_files(rig.folder, ".put"), 0);
	assert_int_equal(count_files(rig.folder, ".kept"), 1);
	long long size = file_size(rig.folder, "0000000000000001.kept");
	assert_true(size > 0);
	/* The next one to be kept has another name. */
	start();
	struct payload *p = put_good("other text");
	store_keep(rig.store, p->append.at.segment);
	end(true);
	assert_int_equal(count_files(rig.folder, ".kept"), 2);
	assert_int_equal(file_size(rig.folder, "0000000000000001.kept"), size);
	start();
}

/* Any number of them, also while the thread is held up. */
static void test_kept_many(void **state)
{
	(void)state;
	for (int i = 0; i < 60; i++)
		(void)put_good("text that fills a segment in the end, so that there are more of");
	uint64_t last = rig.payload[59].append.at.segment;
	disk_hold(true);
	(void)append("held");
	disk_wait_for_sync();
	for (uint64_t n = last; n > 0; n--)
		store_keep(rig.store, n);
	for (uint64_t n = 50; n < 100; n++)
		store_keep(rig.store, n);
	disk_hold(false);
	end(true);
	assert_int_equal(count_files(rig.folder, ".put"), 0);
	assert_int_equal(count_files(rig.folder, ".kept"), last);
	start();
	assert_int_equal(store_octets(rig.store), 0);
	assert_int_equal(rig.state.end.segment, 100);
	assert_int_equal(count_files(rig.folder, ".keep"), 0);
}

/* Until the rest of it is delivered it stays, and is known over a kill. */
static void test_kept_over_kill(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++)
		(void)put_good("some text that fills segments");
	store_keep(rig.store, 1);
	store_delivered(rig.store, rig.payload[1].append.at);
	(void)put_good("noted");
	crash();
	assert_int_equal(count_files(rig.folder, ".kept"), 0);
	long long size = file_size(rig.folder, "0000000000000001.put");
	start();
	assert_int_equal(place_compare(rig.state.delivered, rig.payload[1].append.at), 0);
	end(true);
	assert_int_equal(count_files(rig.folder, ".put"), 0);
	assert_int_equal(count_files(rig.folder, ".keep"), 0);
	assert_int_equal(file_size(rig.folder, "0000000000000001.kept"), size);
	start();
}

/* It cannot be renamed: it stays, is not delivered again, and its number is nobody else's. */
static void test_kept_unnamed(void **state)
{
	(void)state;
	static const bool clean[] = { true, false };
	for (size_t i = 0; i < COUNT_OF(clean); i++) {
		struct payload *kept = put_good("kept");
		uint64_t number = kept->append.at.segment;
		char name[SEGMENT_NAME];
		segment_name(number, ".put", name);
		long long size = file_size(rig.folder, name);
		disk_fail(DISK_RENAMEAT, EPERM, 2);
		store_keep(rig.store, number);
		end(true);
		assert_int_equal(file_size(rig.folder, name), size);
		start();
		assert_true(rig.state.delivered.segment > number);
		assert_int_equal(file_size(rig.folder, name), size);
		struct payload *other = put_good("other");
		assert_true(other->append.at.segment > number);
		assert_stored(rig.state.delivered, "other");
		if (clean[i]) {
			end(true);
			assert_int_equal(count_files(rig.folder, ".put"), 1);
		} else {
			crash();
		}
		start();
		assert_stored(rig.state.delivered, clean[i] ? "" : "other");
		assert_int_equal(count_files(rig.folder, ".kept"), i + 1);
		assert_int_equal(count_files(rig.folder, ".keep"), 0);
		assert_int_equal(store_octets(rig.store), octets_on_disk());
	}
}

/* It cannot be marked: a start begins before it and finds out again. */
static void test_kept_unmarked(void **state)
{
	(void)state;
	for (int i = 0; i < 50; i++)
		(void)put_good("some text that fills segments");
	disk_fail(DISK_OPENAT, ENOSPC, UINT_MAX);
	store_keep(rig.store, 2);
	store_delivered(rig.store, (struct place){ 3, 100 });
	for (int i = 0; i < 5000 && file_size(rig.folder, "0000000000000001.put") >= 0; i++)
		usleep(1000);
	crash();
	disk_fail(DISK_OPENAT, 0, 0);
	start();
	assert_int_equal(rig.state.delivered.segment, 2);
	assert_int_equal(rig.state.delivered.offset, 0);
	store_keep(rig.store, 2);
	end(true);
	assert_int_equal(count_files(rig.folder, ".kept"), 1);
	start();
}

/* A file with the next number, as somebody may make of one that was kept. */
static void test_number_taken(void **state)
{
	(void)state;
	(void)put_good("first");
	write_file(rig.folder, "0000000000000002.put", SLICE_LITERAL("somebody's"));
	write_file(rig.folder, "0000000000000003.put", SLICE_LITERAL("somebody else's"));
	struct payload *p = NULL;
	for (int i = 0; i < 20; i++)
		p = put_good("some text that fills segments");
	assert_true(p->append.at.segment > 3);
	assert_int_equal(store_octets(rig.store), octets_on_disk());
	deliver(p->append.at);
	assert_int_equal(store_octets(rig.store), octets_on_disk());
	end(true);
	assert_int_equal(count_files(rig.folder, ".put"), 0);
	assert_int_equal(file_size(rig.folder, "0000000000000002.kept"), 10);
	assert_int_equal(file_size(rig.folder, "0000000000000003.kept"), 15);
	start();
}

/* ---- the folder ------------------------------------------------------------------------------ */

/*
 * What opening a folder ends in, in a process of its own. That one has no threads but knows of ours,
 * so it does not come to an end in which anybody would look for what it holds.
 */
static int open_elsewhere(const char *path, bool nobody)
{
	int answer[2];
	assert_int_equal(pipe(answer), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		static struct store *store;
		static struct seen *seen;
		struct store_state at;
		uv_loop_t loop;
		int error = -ENOSYS;
		seen = seen_new(9, 9);
		bool ready = !nobody || getuid() != 0 || (setgid(65534) == 0 && setuid(65534) == 0);
		if (ready && uv_loop_init(&loop) == 0)
			error = store_open(&store, path, SEGMENT_SIZE, &loop, seen, &at);
		(void)!write(answer[1], &error, sizeof(error));
		(void)raise(SIGKILL);
	}
	int error = 0;
	assert_int_equal(read(answer[0], &error, sizeof(error)), sizeof(error));
	assert_int_equal(waitpid(child, NULL, 0), child);
	close(answer[0]);
	close(answer[1]);
	return error;
}

static void test_lock(void **state)
{
	(void)state;
	struct payload *p = put_good("text");
	assert_int_equal(open_elsewhere(rig.folder, false), -EWOULDBLOCK);
	assert_stored(p->append.at, "text");
	end(false);
	assert_int_equal(open_elsewhere(rig.folder, false), 0);
	start();
	assert_stored(rig.state.delivered, "text");
}

static void test_folders(void **state)
{
	(void)state;
	char path[2 * TEMP_PATH];
	end(false);
	folder_file(rig.folder, "new", path);
	assert_int_equal(open_in(path), 0);
	end(true);
	struct stat st;
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	remove_folder(path);
	folder_file(rig.folder, "not/there", path);
	assert_int_equal(open_in(path), -ENOENT);
	end_loop();
	folder_file(rig.folder, "lock", path);
	assert_int_equal(open_in(path), -ENOTDIR);
	end_loop();
	start();
}

static void test_read_only(void **state)
{
	(void)state;
	char path[2 * TEMP_PATH];
	folder_file(rig.folder, "other", path);
	assert_int_equal(chmod(rig.folder, 0755), 0);
	assert_int_equal(mkdir(path, 0555), 0);
	assert_int_equal(open_elsewhere(path, true), -EACCES);
	assert_int_equal(rmdir(path), 0);
}

/* ---- what was seen --------------------------------------------------------------------------- */

static void seen_path(int64_t hour, char name[32])
{
	(void)snprintf(name, 32, "seen-%lld", (long long)hour);
}

static void test_seen(void **state)
{
	(void)state;
	char name[32];
	struct payload *a = put_good("a");
	struct payload *b = put_good("b");
	seen_path(a->append.payload.seconds / HOUR, name);
	crash();
	/* Part of a record is what a crash may leave. */
	long long size = file_size(rig.folder, name);
	char path[2 * TEMP_PATH];
	folder_file(rig.folder, name, path);
	assert_int_equal(truncate(path, size - 7), 0);
	start();
	assert_true(knows(a) && !knows(b));
	struct payload *c = put_good("c");
	crash();
	start();
	assert_true(knows(a) && !knows(b) && knows(c));
	assert_int_equal(file_size(rig.folder, name) % 48, 0);
}

static void test_seen_hours(void **state)
{
	(void)state;
	/* The last second of an hour. */
	int64_t last = ((int64_t)time(NULL) / HOUR + 1) * HOUR - 1 - (int64_t)time(NULL);
	disk_set_clock(last);
	struct payload *a = put_good("a");
	/* 23 hours and some seconds later it is in its time, however much was seen since. */
	disk_set_clock(last + 23 * HOUR + 5);
	(void)put_good("b");
	crash();
	start();
	assert_true(knows(a));
	/* Beyond its time files go, though hours were left out. */
	disk_set_clock(last + 49 * HOUR);
	(void)put_good("c");
	assert_int_equal(count_files(rig.folder, "put") > 0, 1);
	crash();
	start();
	assert_false(knows(a));
	char name[32];
	seen_path(a->append.payload.seconds / HOUR, name);
	assert_int_equal(file_size(rig.folder, name), -1);
}

/* While it runs, too. */
static void test_seen_files_go(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++) {
		disk_set_clock((int64_t)i * 7 * HOUR);
		(void)put_good("hours apart");
	}
	DIR *dir = opendir(rig.folder);
	assert_non_null(dir);
	const struct dirent *entry;
	unsigned files = 0;
	while ((entry = readdir(dir)) != NULL)
		files += strncmp(entry->d_name, "seen-", 5) == 0;
	closedir(dir);
	assert_true(files <= 5);
}

/* What could not be noted is noted later; what never was is taken again over a restart, and that is all. */
static void test_seen_unwritten(void **state)
{
	(void)state;
	disk_fail(DISK_WRITE, ENOSPC, 3);
	struct payload *a = put_good("a");
	struct payload *b = put_good("b");
	end(false);
	start();
	assert_true(knows(a) && knows(b));
	disk_fail(DISK_WRITE, ENOSPC, UINT_MAX);
	struct payload *c = put_good("c");
	end(false);
	disk_fail(DISK_WRITE, 0, 0);
	start();
	assert_true(knows(a) && knows(b) && !knows(c));
}

/* Payloads that are not stored. */
static void test_remembered(void **state)
{
	(void)state;
	struct payload *a = prepare("a");
	struct payload *b = prepare("b");
	store_remember(rig.store, &a->append.payload);
	end(false);
	rig.payloads = 2;
	start();
	assert_true(knows(a));
	disk_fail(DISK_WRITE, ENOSPC, 1);
	store_remember(rig.store, &b->append.payload);
	while (disk_count(DISK_WRITE) < 2)
		usleep(1000);
	rig.done = 2;
	(void)put_good("the next");
	(void)put_good("and one that is stored behind it");
	crash();
	start();
	assert_true(knows(a) && knows(b));
	assert_int_equal(store_octets(rig.store), octets_on_disk());
}

/* ---- a disk that fails ----------------------------------------------------------------------- */

static void test_full(void **state)
{
	(void)state;
	struct payload *first = put_good("first");
	disk_hold(true);
	(void)append("held");
	disk_wait_for_sync();
	struct payload *a = append("a");
	struct payload *b = append("b does not fit");
	struct payload *c = append("c");
	disk_room(frame_octets(first) + 20);
	disk_hold(false);
	run();
	assert_int_equal(a->append.error, 0);
	assert_int_equal(b->append.error, -ENOSPC);
	assert_int_equal(c->append.error, -ENOSPC);
	assert_stored(beginning, "first held a");
	assert_int_equal(store_octets(rig.store), octets_on_disk());
	assert_int_equal(put("still full")->append.error, -ENOSPC);
	disk_room(UINT64_MAX);
	struct payload *d = put_good("d");
	assert_int_equal(place_compare(d->append.at, a->append.end), 0);
	static char texts[PAYLOADS][64];
	unsigned damages;
	assert_int_equal(read_back(beginning, texts, &damages), 4);
	assert_int_equal(damages, 0);
	crash();
	start();
	assert_true(knows(a) && !knows(b) && !knows(c) && knows(d));
}

/* Part of a frame that cannot be cut off ends the segment. */
static void test_spoilt(void **state)
{
	(void)state;
	(void)put_good("first");
	disk_room(30);
	disk_fail(DISK_FTRUNCATE, EIO, 1);
	assert_int_equal(put("part")->append.error, -ENOSPC);
	disk_room(UINT64_MAX);
	struct payload *next = put_good("next");
	assert_int_equal(next->append.at.segment, 2);
	assert_int_equal(next->append.at.offset, 0);
	static char texts[PAYLOADS][64];
	unsigned damages;
	assert_int_equal(read_back(beginning, texts, &damages), 2);
	assert_int_equal(damages, 1);
	assert_int_equal(store_octets(rig.store), octets_on_disk());
	deliver(next->append.at);
	assert_int_equal(store_octets(rig.store), octets_on_disk());
}

/* The same with others behind it in its group, which are none the worse. */
static void test_spoilt_in_group(void **state)
{
	(void)state;
	disk_hold(true);
	(void)append("held");
	disk_wait_for_sync();
	struct payload *a = append("a");
	struct payload *b = append("b");
	disk_fail(DISK_WRITEV, EIO, 1);
	disk_fail(DISK_FTRUNCATE, EIO, 1);
	disk_hold(false);
	run();
	assert_int_equal(a->append.error, -EIO);
	assert_int_equal(b->append.error, 0);
	assert_stored(beginning, "held b");
	struct payload *c = put_good("c");
	assert_int_equal(c->append.at.segment, 2);
	assert_int_equal(store_octets(rig.store), octets_on_disk());
}

static void test_sync_error(void **state)
{
	(void)state;
	struct payload *first = put_good("first");
	disk_hold(true);
	(void)append("held");
	disk_wait_for_sync();
	disk_fail(DISK_FDATASYNC, EIO, 2);
	struct payload *a = append("a");
	struct payload *b = append("b");
	disk_hold(false);
	run();
	assert_int_equal(rig.payload[1].append.error, -EIO);
	assert_int_equal(a->append.error, -EIO);
	assert_int_equal(b->append.error, -EIO);
	/* What was safe is safe; what was not is gone, and nothing is put where it was. */
	assert_stored(beginning, "first");
	assert_int_equal(store_octets(rig.store), octets_on_disk());
	struct payload *c = put_good("c");
	assert_true(c->append.at.segment > first->append.at.segment);
	assert_stored(beginning, "first c");
	crash();
	start();
	assert_true(knows(first) && !knows(a) && !knows(b) && knows(c));
}

/* What cannot be synced and not be cut off either is not counted, and its removal no surplus. */
static void test_sync_error_uncut(void **state)
{
	(void)state;
	(void)put_good("first");
	disk_fail(DISK_FDATASYNC, EIO, 1);
	disk_fail(DISK_FTRUNCATE, EIO, 1);
	assert_int_equal(put("lost")->append.error, -EIO);
	struct payload *c = put_good("c");
	assert_int_equal(c->append.at.segment, 2);
	assert_int_equal(store_octets(rig.store), octets_on_disk());
	deliver(c->append.at);
	assert_int_equal(store_octets(rig.store), octets_on_disk());
}

/* A segment that cannot be begun is begun later, whatever is left of the first try. */
static void test_begin_error(void **state)
{
	(void)state;
	disk_fail(DISK_FSYNC, EIO, 1);
	disk_fail(DISK_UNLINKAT, EIO, 1);
	assert_int_equal(put("a")->append.error, -EIO);
	(void)put_good("b");
	disk_fail(DISK_OPENAT, EMFILE, 1);
	for (int i = 0; i < 20; i++)
		(void)put("text that fills segments");
	assert_int_equal(put("end")->append.error, 0);
	assert_int_equal(store_octets(rig.store), octets_on_disk());
}

#define STORE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORE_TEST(test_groups),
		STORE_TEST(test_rotation),
		STORE_TEST(test_refused),
		STORE_TEST(test_close_while_waiting),
		STORE_TEST(test_delivered),
		STORE_TEST(test_bad_position),
		STORE_TEST(test_stale_position),
		STORE_TEST(test_all_delivered),
		STORE_TEST(test_delivered_before_full),
		STORE_TEST(test_room_by_delivery),
		STORE_TEST(test_kept),
		STORE_TEST(test_kept_many),
		STORE_TEST(test_kept_over_kill),
		STORE_TEST(test_kept_unnamed),
		STORE_TEST(test_kept_unmarked),
		STORE_TEST(test_number_taken),
		STORE_TEST(test_lock),
		STORE_TEST(test_folders),
		STORE_TEST(test_read_only),
		STORE_TEST(test_seen),
		STORE_TEST(test_seen_hours),
		STORE_TEST(test_seen_files_go),
		STORE_TEST(test_seen_unwritten),
		STORE_TEST(test_remembered),
		STORE_TEST(test_full),
		STORE_TEST(test_spoilt),
		STORE_TEST(test_spoilt_in_group),
		STORE_TEST(test_sync_error),
		STORE_TEST(test_sync_error_uncut),
		STORE_TEST(test_begin_error),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

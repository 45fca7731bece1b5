/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fed: a choice, then the texts of a spool folder's files, with | between: the position, digests that
 * were seen, two segments.
 * Held: the folder is opened whatever is in it; delivery goes on at a place that is there; nothing
 * goes that the position does not tell of; the same folder opened again says the same; what was
 * remembered has come from a file.
 */
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"
#include "spool/store.h"

enum { HOUR = 3600, RECORD = 48 };

static char path[64];
static int dir;
static const char *const segments[] = { "0000000000000003.put", "0000000000000005.put" };

static void clean_up(void)
{
	(void)unlinkat(dir, "lock", 0);
	(void)unlinkat(dir, "position", 0);
	for (size_t i = 0; i < 2; i++)
		(void)unlinkat(dir, segments[i], 0);
	(void)rmdir(path);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	fuzz_quiet(argc, argv);
	bool memory = access("/dev/shm", W_OK) == 0;
	(void)snprintf(path, sizeof(path), "%s/vpcflowd-fuzz-XXXXXX", memory ? "/dev/shm" : "/tmp");
	CHECK(mkdtemp(path) != NULL);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(dir >= 0 && atexit(clean_up) == 0);
	return 0;
}

static void save(const char *name, struct slice octets)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	CHECK(fd >= 0);
	CHECK(octets.len == 0 || write(fd, octets.data, octets.len) == (ssize_t)octets.len);
	close(fd);
}

/* Up to the next |, which goes. */
static struct slice next_text(struct slice *in)
{
	const char *bar = in->len == 0 ? NULL : memchr(in->data, '|', in->len);
	struct slice text = slice_of(in->data, bar == NULL ? in->len : (size_t)(bar - in->data));
	slice_skip(in, text.len + (bar != NULL));
	return text;
}

static bool is_there(size_t i)
{
	return faccessat(dir, segments[i], F_OK, 0) == 0;
}

/* Opens and closes the folder; where delivery would go on. */
static struct place look(uint64_t *seen_payloads)
{
	uv_loop_t loop;
	struct store *store;
	struct store_state state;
	struct seen *seen = seen_new(100, 6 * HOUR);
	CHECK(seen != NULL && uv_loop_init(&loop) == 0);
	CHECK(store_open(&store, path, 4096, &loop, seen, &state) == 0);
	CHECK(place_compare(state.delivered, state.end) <= 0);
	CHECK(state.end.offset == 0 && state.end.segment >= 1);
	*seen_payloads = seen_count(seen);
	store_close(store, false);
	uv_run(&loop, UV_RUN_DEFAULT);
	CHECK(uv_loop_close(&loop) == 0);
	store_free(&store);
	seen_free(&seen);
	return state.delivered;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_of((const char *)data, size);
	unsigned choice = fuzz_choice(&in);
	bool had[2];
	char hour[32];
	(void)snprintf(hour, sizeof(hour), "seen-%lld", (long long)time(NULL) / HOUR);
	save("position", next_text(&in));
	struct slice digests = next_text(&in);
	save(hour, digests);
	for (size_t i = 0; i < 2; i++) {
		had[i] = (choice & 1 << i) != 0;
		if (had[i])
			save(segments[i], next_text(&in));
		else
			(void)unlinkat(dir, segments[i], 0);
	}
	uint64_t seen;
	uint64_t again;
	struct place at = look(&seen);
	CHECK(seen <= digests.len / RECORD);
	/* Segments 3 and 5: what stands before the place goes, the rest stays. */
	CHECK(is_there(0) == (had[0] && at.segment <= 3));
	CHECK(is_there(1) == (had[1] && at.segment <= 5));
	/* A place in a segment that is not there is the same as the beginning of the next one. */
	bool stands = (at.segment == 3 && is_there(0)) || (at.segment == 5 && is_there(1));
	struct place then = look(&again);
	CHECK(!stands || place_compare(at, then) == 0);
	CHECK(is_there(0) == (had[0] && at.segment <= 3));
	CHECK(is_there(1) == (had[1] && at.segment <= 5));
	CHECK(seen == again);
	(void)unlinkat(dir, hour, 0);
	return 0;
}

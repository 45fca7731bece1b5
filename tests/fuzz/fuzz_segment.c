/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fed: choices, then what is in a spool's segments; ! stands for a good frame among it.
 * Held: every frame that is read has the digest that it is named by, lies behind the one before and
 * is what stands in the file there; what lies between is told as damage; reading comes to an end, and
 * from any frame on finds the same ones.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"
#include "spool/segment.h"

enum { SEGMENTS = 2, LONGEST = 4096, FRAMES = 4096 };

static int dir;
static struct buf segment[SEGMENTS];

static char path[64];

static void clean_up(void)
{
	for (uint64_t n = 1; n <= SEGMENTS; n++) {
		char name[SEGMENT_NAME];
		segment_name(n, ".put", name);
		(void)unlinkat(dir, name, 0);
	}
	(void)rmdir(path);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	fuzz_quiet(argc, argv);
	bool memory = access("/dev/shm", W_OK) == 0;
	(void)snprintf(path, sizeof(path), "%s/vpcflowd-fuzz-XXXXXX", memory ? "/dev/shm" : "/tmp");
	CHECK(mkdtemp(path) != NULL);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(dir >= 0);
	CHECK(atexit(clean_up) == 0);
	return 0;
}

/* Good frames are beyond what mutation finds. */
static void add_frame(struct slice payload, struct buf *out)
{
	char line[SEGMENT_HEADER];
	struct digest digest;
	CHECK(digest_of(payload, &digest));
	fuzz_add(out, slice_of(line, segment_header(&digest, payload.len, line)));
	fuzz_add(out, payload);
}

static void make(struct slice in, struct buf *out)
{
	for (size_t i = 0; i < in.len; i++) {
		size_t left = in.len - i - 1;
		size_t len = left < 3 ? left : 3 + (unsigned char)in.data[i + 1] % 64;
		if (in.data[i] == '!')
			add_frame(slice_of(in.data + i + 1, len < left ? len : left), out);
		else
			fuzz_add(out, slice_of(in.data + i, 1));
	}
}

static void save(uint64_t number, struct slice octets)
{
	char name[SEGMENT_NAME];
	segment_name(number, ".put", name);
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	CHECK(fd >= 0 && write(fd, octets.data, octets.len) == (ssize_t)octets.len);
	close(fd);
}

static void check_frame(const struct spooled *p, struct place before)
{
	struct digest digest;
	char line[SEGMENT_HEADER];
	CHECK(digest_of(slice_of(p->data, p->len), &digest));
	CHECK(digest_equal(&digest, &p->digest));
	CHECK(p->len <= LONGEST);
	CHECK(place_compare(p->at, before) >= 0);
	CHECK(p->at.segment == p->end.segment && p->at.segment <= SEGMENTS);
	CHECK(p->end.offset - p->at.offset >= segment_header(&p->digest, p->len, line) + p->len);
	const struct buf *file = &segment[p->at.segment - 1];
	CHECK(p->end.offset <= file->len);
	CHECK(memcmp(file->data + p->end.offset - p->len, p->data, p->len) == 0);
}

/* Reads from a place on; how many frames, whose places go to at. */
static size_t read_all(struct place from, struct place *at)
{
	static const struct place until = { SEGMENTS + 1, 0 };
	struct segment_reader r;
	size_t frames = 0;
	segment_reader_init(&r, dir, from, LONGEST);
	for (;;) {
		struct spooled p;
		struct place before = r.at;
		enum step step = segment_next(&r, until, &p);
		CHECK(step != STEP_BAD);
		CHECK(place_compare(r.at, before) >= 0);
		if (step == STEP_OK) {
			check_frame(&p, before);
			/* What lies before it is told, all of it. */
			bool same = p.at.segment == before.segment;
			uint64_t gap = p.at.offset - (same ? before.offset : 0);
			CHECK(r.damage.octets == gap || !same);
			CHECK(place_compare(r.at, p.end) == 0);
			CHECK(frames < FRAMES);
			at[frames++] = p.at;
			spooled_deinit(&p);
		} else if (r.damage.octets == 0) {
			break;
		}
	}
	segment_reader_deinit(&r);
	return frames;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct place all[FRAMES];
	static struct place some[FRAMES];
	struct slice in = slice_of((const char *)data, size);
	size_t choice = fuzz_choice(&in);
	size_t cut = in.len * (choice & 15) / 15;
	for (size_t i = 0; i < SEGMENTS; i++) {
		buf_init(&segment[i], SIZE_MAX / 2);
		make(i == 0 ? slice_of(in.data, cut) : slice_of(in.data + cut, in.len - cut),
		     &segment[i]);
		save(i + 1, buf_slice(&segment[i]));
	}
	size_t frames = read_all((struct place){ 1, 0 }, all);
	if (frames > 0) {
		size_t from = (choice >> 4) % frames;
		CHECK(read_all(all[from], some) == frames - from);
		CHECK(memcmp(all + from, some, (frames - from) * sizeof(*all)) == 0);
	}
	for (size_t i = 0; i < SEGMENTS; i++)
		buf_deinit(&segment[i]);
	return 0;
}

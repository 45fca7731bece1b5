/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_TESTS_UNIT_FOLDER_H
#define VPCFLOWD_TESTS_UNIT_FOLDER_H

/* Folders of a moment's life, in memory where the machine has that: many files, many times. */

#include "support.h"

#include <dirent.h>
#include <sys/stat.h>

static inline void temp_folder(char path[TEMP_PATH])
{
	bool memory = access("/dev/shm", W_OK) == 0;
	(void)snprintf(path, TEMP_PATH, "%s/vpcflowd-test-XXXXXX", memory ? "/dev/shm" : "/tmp");
	assert_non_null(mkdtemp(path));
}

/* Unlinks all files of a folder without folders. */
static inline void empty_folder(const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *entry;
	if (dir == NULL)
		return;
	while ((entry = readdir(dir)) != NULL)
		(void)!unlinkat(dirfd(dir), entry->d_name, 0);
	closedir(dir);
}

static inline void remove_folder(const char *path)
{
	empty_folder(path);
	assert_int_equal(rmdir(path), 0);
}

/* How many names end so. */
static inline unsigned count_files(const char *path, const char *suffix)
{
	unsigned count = 0;
	DIR *dir = opendir(path);
	const struct dirent *entry;
	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL) {
		size_t len = strlen(entry->d_name);
		size_t end = strlen(suffix);
		count += len >= end && strcmp(entry->d_name + len - end, suffix) == 0;
	}
	closedir(dir);
	return count;
}

static inline void folder_file(const char *folder, const char *name, char path[2 * TEMP_PATH])
{
	(void)snprintf(path, 2 * TEMP_PATH, "%s/%s", folder, name);
}

static inline void write_file(const char *folder, const char *name, struct slice octets)
{
	char path[2 * TEMP_PATH];
	folder_file(folder, name, path);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	if (octets.len > 0)
		assert_int_equal(write(fd, octets.data, octets.len), octets.len);
	close(fd);
}

/* Its octets, or -1 when it is not there. */
static inline long long file_size(const char *folder, const char *name)
{
	char path[2 * TEMP_PATH];
	struct stat st;
	folder_file(folder, name, path);
	return stat(path, &st) == 0 ? (long long)st.st_size : -1;
}

#endif

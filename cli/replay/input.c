/* SPDX-License-Identifier: MIT */
/*
 * Lines of a plain, gzip or zstd file, streaming.
 *
 *	file --raw--> [ gzip | zstd | as it is ] --text--> lines
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "replay/input.h"

#define RAW_SIZE (64UL << 10)
#define TEXT_SIZE (128UL << 10)

enum packing { PACKED_NOT, PACKED_GZIP, PACKED_ZSTD };

struct input {
	char *path;
	int fd;
	enum packing packing;
	z_stream gzip;
	ZSTD_DStream *zstd;
	unsigned char raw[RAW_SIZE];
	size_t raw_at, raw_len;
	bool raw_end;
	bool member_ended; /* at the end of a gzip member or zstd frame: the file may end here */
	unsigned char text[TEXT_SIZE];
	size_t text_at, text_len;
	char *line;
	size_t line_room;
	unsigned long number;
	off_t size, done;
};

static int fill_raw(struct input *in, char why[160])
{
	ssize_t got;

	if (in->raw_at < in->raw_len || in->raw_end)
		return 0;
	do {
		got = read(in->fd, in->raw, RAW_SIZE);
	} while (got < 0 && errno == EINTR);
	if (got < 0) {
		int err = errno;

		snprintf(why, 160, "%s", strerror(err));
		return -err;
	}
	in->raw_at = 0;
	in->raw_len = (size_t)got;
	in->done += got;
	in->raw_end = got == 0;
	return 0;
}

static int unpack_gzip(struct input *in, char why[160])
{
	int ret;

	if (in->member_ended) { /* several members make one file */
		inflateReset(&in->gzip);
		in->member_ended = false;
	}
	in->gzip.next_in = in->raw + in->raw_at;
	in->gzip.avail_in = (uInt)(in->raw_len - in->raw_at);
	in->gzip.next_out = in->text;
	in->gzip.avail_out = TEXT_SIZE;
	ret = inflate(&in->gzip, Z_NO_FLUSH);
	in->raw_at = in->raw_len - in->gzip.avail_in;
	in->text_len = TEXT_SIZE - in->gzip.avail_out;
	if (ret == Z_STREAM_END) {
		in->member_ended = true;
	} else if (ret != Z_OK && ret != Z_BUF_ERROR) {
		snprintf(why, 160, "damaged gzip data: %s",
			 in->gzip.msg ? in->gzip.msg : "unknown");
		return -EBADMSG;
	}
	return 0;
}

static int unpack_zstd(struct input *in, char why[160])
{
	ZSTD_inBuffer from = { in->raw, in->raw_len, in->raw_at };
	ZSTD_outBuffer to = { in->text, TEXT_SIZE, 0 };
	size_t ret = ZSTD_decompressStream(in->zstd, &to, &from);

	in->raw_at = from.pos;
	in->text_len = to.pos;
	if (ZSTD_isError(ret)) {
		snprintf(why, 160, "damaged zstd data: %s", ZSTD_getErrorName(ret));
		return -EBADMSG;
	}
	in->member_ended = ret == 0;
	return 0;
}

/* More text. 0 with text_len 0 at the end. */
static int fill_text(struct input *in, char why[160])
{
	int err = 0;

	in->text_at = in->text_len = 0;
	while (!err && !in->text_len) {
		err = fill_raw(in, why);
		if (err)
			break;
		if (in->raw_end && in->packing == PACKED_NOT)
			break;
		if (in->raw_end) {
			if (!in->member_ended) {
				snprintf(why, 160,
					 "the file is truncated: its %s data end too early",
					 in->packing == PACKED_GZIP ? "gzip" : "zstd");
				err = -EBADMSG;
			}
			break;
		}
		if (in->packing == PACKED_GZIP) {
			err = unpack_gzip(in, why);
		} else if (in->packing == PACKED_ZSTD) {
			err = unpack_zstd(in, why);
		} else {
			in->text_len = in->raw_len - in->raw_at;
			memcpy(in->text, in->raw + in->raw_at, in->text_len);
			in->raw_at = in->raw_len;
		}
	}
	return err;
}

static int begin_unpacking(struct input *in)
{
	const unsigned char *magic = in->raw;

	if (in->raw_len >= 2 && magic[0] == 0x1f && magic[1] == 0x8b) {
		in->packing = PACKED_GZIP;
		return inflateInit2(&in->gzip, 16 + MAX_WBITS) == Z_OK ? 0 : -ENOMEM;
	}
	if (in->raw_len >= 4 && memcmp(magic, "\x28\xb5\x2f\xfd", 4) == 0) {
		in->packing = PACKED_ZSTD;
		in->zstd = ZSTD_createDStream();
		return in->zstd ? 0 : -ENOMEM;
	}
	return 0;
}

/* Is it text, as far as its beginning tells? A byte order mark is skipped. */
static int check_text(struct input *in, char why[160])
{
	const unsigned char *text = in->text;

	if (in->text_len >= 2 &&
	    (memcmp(text, "\xff\xfe", 2) == 0 || memcmp(text, "\xfe\xff", 2) == 0)) {
		snprintf(why, 160,
			 "UTF-16 text; convert it to UTF-8 first (iconv -f UTF-16 -t UTF-8)");
		return -EBADMSG;
	}
	if (memchr(text, '\0', in->text_len)) {
		snprintf(why, 160, "a binary file, not text");
		return -EBADMSG;
	}
	if (in->text_len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		in->text_at = 3;
	return 0;
}

int input_open(const char *path, struct input **out, char why[160])
{
	struct input *in = calloc(1, sizeof(*in));
	struct stat st;
	int err;

	if (!in)
		return -ENOMEM;
	in->path = strdup(path);
	in->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (in->fd < 0 || !in->path || fstat(in->fd, &st)) {
		err = -errno;
		snprintf(why, 160, "%s", strerror(errno));
		goto fail;
	}
	if (S_ISDIR(st.st_mode)) {
		err = -EISDIR;
		snprintf(why, 160, "%s", strerror(EISDIR));
		goto fail;
	}
	in->size = S_ISREG(st.st_mode) ? st.st_size : 0;
	err = fill_raw(in, why);
	if (err)
		goto fail;
	if (in->raw_end) {
		err = -ENODATA;
		snprintf(why, 160, "the file is empty");
		goto fail;
	}
	err = begin_unpacking(in);
	if (!err)
		err = fill_text(in, why);
	if (err)
		goto fail;
	if (!in->text_len) {
		err = -ENODATA;
		snprintf(why, 160, "the file is empty");
		goto fail;
	}
	err = check_text(in, why);
	if (err)
		goto fail;
	*out = in;
	return 0;
fail:
	input_close(in);
	return err;
}

void input_close(struct input *in)
{
	if (!in)
		return;
	if (in->packing == PACKED_GZIP)
		inflateEnd(&in->gzip);
	ZSTD_freeDStream(in->zstd);
	if (in->fd >= 0)
		close(in->fd);
	free(in->line);
	free(in->path);
	free(in);
}

/* Add a piece to the line; -EFBIG when it has grown too long. */
static int add_piece(struct input *in, size_t have, const unsigned char *piece, size_t len)
{
	if (have + len > INPUT_LINE_MAX)
		return -EFBIG;
	if (have + len + 1 > in->line_room) {
		size_t room = 2 * (have + len + 1);
		char *grown = realloc(in->line, room);

		if (!grown)
			return -ENOMEM;
		in->line = grown;
		in->line_room = room;
	}
	memcpy(in->line + have, piece, len);
	/* A NUL would end the line early and hide what follows. */
	for (size_t i = 0; i < len; i++)
		if (in->line[have + i] == '\0')
			in->line[have + i] = '?';
	in->line[have + len] = '\0';
	return 0;
}

int input_line(struct input *in, const char **line, char why[160])
{
	size_t have = 0;
	bool any = false, too_long = false;

	for (;;) {
		const unsigned char *from = in->text + in->text_at, *newline;
		size_t len = in->text_len - in->text_at;
		int err;

		if (!len) {
			err = fill_text(in, why);
			if (err)
				return err;
			if (!in->text_len)
				break;
			continue;
		}
		any = true;
		newline = memchr(from, '\n', len);
		if (newline)
			len = (size_t)(newline - from);
		err = too_long ? -EFBIG : add_piece(in, have, from, len);
		if (err == -ENOMEM)
			return err;
		too_long = err == -EFBIG;
		have += len;
		in->text_at += len + (newline != NULL);
		if (newline)
			break;
	}
	if (!any)
		return 0;
	in->number++;
	if (too_long) {
		snprintf(why, 160, "a line of more than %lu bytes", INPUT_LINE_MAX);
		return -EFBIG;
	}
	*line = line_undress(in->line);
	return 1;
}

const char *input_ahead(const struct input *in, size_t *len)
{
	*len = in->text_len - in->text_at;
	return (const char *)in->text + in->text_at;
}

const char *input_path(const struct input *in)
{
	return in->path;
}

unsigned long input_number(const struct input *in)
{
	return in->number;
}

double input_progress(const struct input *in)
{
	return in->size > 0 ? (double)in->done / (double)in->size : -1;
}

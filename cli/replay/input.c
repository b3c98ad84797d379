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
	struct {
		char *path;
		int fd;
		off_t size, done; /* size: 0 where it is not a regular file */
	} file;
	/* As read from the file. */
	struct {
		unsigned char buf[RAW_SIZE];
		size_t at, len;
		bool end; /* of the file */
	} raw;
	struct {
		enum packing packing;
		z_stream gzip;
		ZSTD_DStream *zstd;
		bool member_ended; /* a gzip member or zstd frame: the file may end here */
	} unpack;
	/* As unpacked. */
	struct {
		unsigned char buf[TEXT_SIZE];
		size_t at, len;
	} text;
	/* The line that was given last. */
	struct {
		char *text;
		size_t room;
		unsigned long number; /* from 1 on */
	} line;
};

static int fill_raw(struct input *in, char why[160])
{
	ssize_t got;

	if (in->raw.at < in->raw.len || in->raw.end)
		return 0;
	do {
		got = read(in->file.fd, in->raw.buf, RAW_SIZE);
	} while (got < 0 && errno == EINTR);
	if (got < 0) {
		int err = errno;

		snprintf(why, 160, "%s", strerror(err));
		return -err;
	}
	in->raw.at = 0;
	in->raw.len = (size_t)got;
	in->file.done += got;
	in->raw.end = got == 0;
	return 0;
}

static int unpack_gzip(struct input *in, char why[160])
{
	int ret;

	if (in->unpack.member_ended) { /* several members make one file */
		inflateReset(&in->unpack.gzip);
		in->unpack.member_ended = false;
	}
	in->unpack.gzip.next_in = in->raw.buf + in->raw.at;
	in->unpack.gzip.avail_in = (uInt)(in->raw.len - in->raw.at);
	in->unpack.gzip.next_out = in->text.buf;
	in->unpack.gzip.avail_out = TEXT_SIZE;
	ret = inflate(&in->unpack.gzip, Z_NO_FLUSH);
	in->raw.at = in->raw.len - in->unpack.gzip.avail_in;
	in->text.len = TEXT_SIZE - in->unpack.gzip.avail_out;
	if (ret == Z_STREAM_END) {
		in->unpack.member_ended = true;
	} else if (ret != Z_OK && ret != Z_BUF_ERROR) {
		snprintf(why, 160, "damaged gzip data: %s",
			 in->unpack.gzip.msg ? in->unpack.gzip.msg : "unknown");
		return -EBADMSG;
	}
	return 0;
}

static int unpack_zstd(struct input *in, char why[160])
{
	ZSTD_inBuffer from = { in->raw.buf, in->raw.len, in->raw.at };
	ZSTD_outBuffer to = { in->text.buf, TEXT_SIZE, 0 };
	size_t ret = ZSTD_decompressStream(in->unpack.zstd, &to, &from);

	in->raw.at = from.pos;
	in->text.len = to.pos;
	if (ZSTD_isError(ret)) {
		snprintf(why, 160, "damaged zstd data: %s", ZSTD_getErrorName(ret));
		return -EBADMSG;
	}
	in->unpack.member_ended = ret == 0;
	return 0;
}

/* More text. 0 with text_len 0 at the end. */
static int fill_text(struct input *in, char why[160])
{
	int err = 0;

	in->text.at = in->text.len = 0;
	while (!err && !in->text.len) {
		err = fill_raw(in, why);
		if (err)
			break;
		if (in->raw.end && in->unpack.packing == PACKED_NOT)
			break;
		if (in->raw.end) {
			if (!in->unpack.member_ended) {
				snprintf(why, 160,
					 "the file is truncated: its %s data end too early",
					 in->unpack.packing == PACKED_GZIP ? "gzip" : "zstd");
				err = -EBADMSG;
			}
			break;
		}
		if (in->unpack.packing == PACKED_GZIP) {
			err = unpack_gzip(in, why);
		} else if (in->unpack.packing == PACKED_ZSTD) {
			err = unpack_zstd(in, why);
		} else {
			in->text.len = in->raw.len - in->raw.at;
			memcpy(in->text.buf, in->raw.buf + in->raw.at, in->text.len);
			in->raw.at = in->raw.len;
		}
	}
	return err;
}

static int begin_unpacking(struct input *in)
{
	const unsigned char *magic = in->raw.buf;

	if (in->raw.len >= 2 && magic[0] == 0x1f && magic[1] == 0x8b) {
		in->unpack.packing = PACKED_GZIP;
		return inflateInit2(&in->unpack.gzip, 16 + MAX_WBITS) == Z_OK ? 0 : -ENOMEM;
	}
	if (in->raw.len >= 4 && memcmp(magic, "\x28\xb5\x2f\xfd", 4) == 0) {
		in->unpack.packing = PACKED_ZSTD;
		in->unpack.zstd = ZSTD_createDStream();
		return in->unpack.zstd ? 0 : -ENOMEM;
	}
	return 0;
}

/* Is it text, as far as its beginning tells? A byte order mark is skipped. */
static int check_text(struct input *in, char why[160])
{
	const unsigned char *text = in->text.buf;

	if (in->text.len >= 2 &&
	    (memcmp(text, "\xff\xfe", 2) == 0 || memcmp(text, "\xfe\xff", 2) == 0)) {
		snprintf(why, 160,
			 "UTF-16 text; convert it to UTF-8 first (iconv -f UTF-16 -t UTF-8)");
		return -EBADMSG;
	}
	if (memchr(text, '\0', in->text.len)) {
		snprintf(why, 160, "a binary file, not text");
		return -EBADMSG;
	}
	if (in->text.len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		in->text.at = 3;
	return 0;
}

int input_open(const char *path, struct input **out, char why[160])
{
	struct input *in = calloc(1, sizeof(*in));
	struct stat st;
	int err;

	if (!in)
		return -ENOMEM;
	in->file.path = strdup(path);
	in->file.fd = open(path, O_RDONLY | O_CLOEXEC);
	if (in->file.fd < 0 || !in->file.path || fstat(in->file.fd, &st)) {
		err = -errno;
		snprintf(why, 160, "%s", strerror(errno));
		goto fail;
	}
	if (S_ISDIR(st.st_mode)) {
		err = -EISDIR;
		snprintf(why, 160, "%s", strerror(EISDIR));
		goto fail;
	}
	in->file.size = S_ISREG(st.st_mode) ? st.st_size : 0;
	err = fill_raw(in, why);
	if (err)
		goto fail;
	if (in->raw.end) {
		err = -ENODATA;
		snprintf(why, 160, "the file is empty");
		goto fail;
	}
	err = begin_unpacking(in);
	if (!err)
		err = fill_text(in, why);
	if (err)
		goto fail;
	if (!in->text.len) {
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
	if (in->unpack.packing == PACKED_GZIP)
		inflateEnd(&in->unpack.gzip);
	ZSTD_freeDStream(in->unpack.zstd);
	if (in->file.fd >= 0)
		close(in->file.fd);
	free(in->line.text);
	free(in->file.path);
	free(in);
}

/* Add a piece to the line; -EFBIG when it has grown too long. */
static int add_piece(struct input *in, size_t have, const unsigned char *piece, size_t len)
{
	if (have + len > INPUT_LINE_MAX)
		return -EFBIG;
	if (have + len + 1 > in->line.room) {
		size_t room = 2 * (have + len + 1);
		char *grown = realloc(in->line.text, room);

		if (!grown)
			return -ENOMEM;
		in->line.text = grown;
		in->line.room = room;
	}
	memcpy(in->line.text + have, piece, len);
	/* A NUL would end the line early and hide what follows. */
	for (size_t i = 0; i < len; i++)
		if (in->line.text[have + i] == '\0')
			in->line.text[have + i] = '?';
	in->line.text[have + len] = '\0';
	return 0;
}

int input_line(struct input *in, const char **line, char why[160])
{
	size_t have = 0;
	bool any = false, too_long = false;

	for (;;) {
		const unsigned char *from = in->text.buf + in->text.at, *newline;
		size_t len = in->text.len - in->text.at;
		int err;

		if (!len) {
			err = fill_text(in, why);
			if (err)
				return err;
			if (!in->text.len)
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
		in->text.at += len + (newline != NULL);
		if (newline)
			break;
	}
	if (!any)
		return 0;
	in->line.number++;
	if (too_long) {
		snprintf(why, 160, "a line of more than %lu bytes", INPUT_LINE_MAX);
		return -EFBIG;
	}
	*line = line_undress(in->line.text);
	return 1;
}

const char *input_ahead(const struct input *in, size_t *len)
{
	*len = in->text.len - in->text.at;
	return (const char *)in->text.buf + in->text.at;
}

const char *input_path(const struct input *in)
{
	return in->file.path;
}

unsigned long input_number(const struct input *in)
{
	return in->line.number;
}

double input_progress(const struct input *in)
{
	return in->file.size > 0 ? (double)in->file.done / (double)in->file.size : -1;
}

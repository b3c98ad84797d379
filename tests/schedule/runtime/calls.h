/* SPDX-License-Identifier: MIT */
/*
 * What calls of libc become in the program: the build defines each of these names of libc as the
 * one with schedule_ in front (cmake/flags.cmake). The scheduler's own files call libc itself.
 */
#ifndef SCHEDULE_CALLS_H
#define SCHEDULE_CALLS_H

#include <sys/types.h>

#include "runtime.h"

void *schedule_memcpy(void *to, const void *from, size_t n);
void *schedule_memmove(void *to, const void *from, size_t n);
void *schedule_memset(void *to, int byte, size_t n);
int schedule_memcmp(const void *a, const void *b, size_t n);
void *schedule_malloc(size_t size);
void *schedule_calloc(size_t n, size_t size);
void *schedule_aligned_alloc(size_t align, size_t size);
void schedule_free(void *p);
void *schedule_realloc(void *p, size_t size);
void *schedule_mmap(void *hint, size_t size, int prot, int flags, int fd, off_t offset);
int schedule_munmap(void *p, size_t size);

int schedule_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
			    void *arg);
int schedule_pthread_join(pthread_t thread, void **result);
int schedule_pthread_setname_np(pthread_t thread, const char *name);
int schedule_pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void));
int schedule_pthread_key_create(pthread_key_t *key, void (*end)(void *));
int schedule_pthread_key_delete(pthread_key_t key);
int schedule_pthread_setspecific(pthread_key_t key, const void *value);
void *schedule_pthread_getspecific(pthread_key_t key);

#endif

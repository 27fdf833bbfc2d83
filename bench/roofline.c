// The machine's own limits, as JSON: how fast it multiplies and adds, and how fast hand-written AVX-512 reads logits, takes
// their cross-entropy, and writes its gradient. Nothing here is exact at the edges of float32: it is a bound, not a rival.
//
//     gcc -O3 -march=native bench/roofline.c -o bin/roofline -lm -lpthread && bin/roofline THREADS
#include <immintrin.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LANES = 16, BLOCK = 2048, ROUNDS = 7, MAX_THREADS = 64 };
enum mode { READ, FORWARD, BOTH };

struct part {
	const float *z;
	float *grad;
	int n, k, first, total;
	enum mode mode;
	double loss;
	pthread_t thread;
};

static double now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + 1e-9 * t.tv_nsec;
}

// e^x for x <= 0: 2^n·e^r with |r| <= log(2)/2 and a polynomial of degree 6.
static inline __m512 exponential(__m512 x) {
	static const float c[] = {1 / 720.f, 1 / 120.f, 1 / 24.f, 1 / 6.f, 0.5f, 1, 1};
	x = _mm512_max_ps(x, _mm512_set1_ps(-87));
	__m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)), 0);
	__m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.69314718f), x);
	__m512 y = _mm512_set1_ps(c[0]);
	for (int i = 1; i < 7; i++) y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(c[i]));
	return _mm512_scalef_ps(y, n);
}

static double row_loss(const struct part *p, const float *z, float *grad, int label) {
	int k = p->k, whole = k / LANES * LANES;
	float top = -INFINITY;
	double sum = 0;
	for (int at = 0; at < whole; at += BLOCK) {
		int end = at + BLOCK < whole ? at + BLOCK : whole, i;
		__m512 m[4], s[4];
		for (int j = 0; j < 4; j++) m[j] = _mm512_set1_ps(-INFINITY), s[j] = _mm512_setzero_ps();
		for (i = at; i + 4 * LANES <= end; i += 4 * LANES)
			for (int j = 0; j < 4; j++) m[j] = _mm512_max_ps(m[j], _mm512_loadu_ps(z + i + j * LANES));
		for (; i < end; i += LANES) m[0] = _mm512_max_ps(m[0], _mm512_loadu_ps(z + i));
		float largest = _mm512_reduce_max_ps(_mm512_max_ps(_mm512_max_ps(m[0], m[1]), _mm512_max_ps(m[2], m[3])));
		if (largest > top) sum *= exp(top - largest), top = largest;
		__m512 shift = _mm512_set1_ps(top);
		for (i = at; i + 4 * LANES <= end; i += 4 * LANES)
			for (int j = 0; j < 4; j++) s[j] = _mm512_add_ps(s[j], exponential(_mm512_sub_ps(_mm512_loadu_ps(z + i + j * LANES), shift)));
		for (; i < end; i += LANES) s[0] = _mm512_add_ps(s[0], exponential(_mm512_sub_ps(_mm512_loadu_ps(z + i), shift)));
		sum += _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(s[0], s[1]), _mm512_add_ps(s[2], s[3])));
	}
	for (int i = whole; i < k; i++) {
		if (z[i] > top) sum *= exp(top - z[i]), top = z[i];
		sum += exp(z[i] - top);
	}
	double lse = top + log(sum);
	if (!grad) return lse - z[label];
	float scale = 1.f / p->total;
	__m512 shift = _mm512_set1_ps((float)lse), factor = _mm512_set1_ps(scale);
	for (int i = 0; i < whole; i += LANES) {
		__m512 g = _mm512_mul_ps(exponential(_mm512_sub_ps(_mm512_loadu_ps(z + i), shift)), factor);
		if (((size_t)(grad + i) & 63) == 0) _mm512_stream_ps(grad + i, g);
		else _mm512_storeu_ps(grad + i, g);
	}
	for (int i = whole; i < k; i++) grad[i] = scale * expf(z[i] - (float)lse);
	grad[label] -= scale;
	return lse - z[label];
}

static double row_sum(const float *z, int k) {
	__m512 s[4];
	for (int j = 0; j < 4; j++) s[j] = _mm512_setzero_ps();
	for (int i = 0; i + 4 * LANES <= k; i += 4 * LANES)
		for (int j = 0; j < 4; j++) s[j] = _mm512_add_ps(s[j], _mm512_loadu_ps(z + i + j * LANES));
	return _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(s[0], s[1]), _mm512_add_ps(s[2], s[3])));
}

static void *rows(void *argument) {
	struct part *p = argument;
	p->loss = 0;
	for (int i = 0; i < p->n; i++) {
		const float *z = p->z + (size_t)i * p->k;
		float *grad = p->mode == BOTH ? p->grad + (size_t)i * p->k : NULL;
		p->loss += p->mode == READ ? row_sum(z, p->k) : row_loss(p, z, grad, (p->first + i) % p->k);
	}
	return NULL;
}

static int ascending(const void *a, const void *b) {
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static double median_ms(const float *z, float *grad, int n, int k, enum mode mode, int threads) {
	double taken[ROUNDS];
	for (int round = -1; round < ROUNDS; round++) {
		struct part parts[MAX_THREADS];
		double start = now();
		for (int t = 0; t < threads; t++) {
			int first = (long)n * t / threads, end = (long)n * (t + 1) / threads;
			parts[t] = (struct part){z + (size_t)first * k, grad + (size_t)first * k, end - first, k, first, n, mode};
			if (t) pthread_create(&parts[t].thread, NULL, rows, &parts[t]);
		}
		rows(&parts[0]);
		for (int t = 1; t < threads; t++) pthread_join(parts[t].thread, NULL);
		if (round >= 0) taken[round] = 1e3 * (now() - start);
	}
	qsort(taken, ROUNDS, sizeof *taken, ascending);
	return taken[ROUNDS / 2];
}

// Twelve chains of multiply-adds at once: more than it takes to fill two units of four cycles.
enum { CHAINS = 12, STEPS = 20000000 };

static void *multiply_add(void *result) {
	__m512 x[CHAINS], a = _mm512_set1_ps(0.999f), b = _mm512_set1_ps(0.1f), sum = _mm512_setzero_ps();
	for (int i = 0; i < CHAINS; i++) x[i] = _mm512_set1_ps(i + 0.1f);
	for (long step = 0; step < STEPS; step++)
		for (int i = 0; i < CHAINS; i++) x[i] = _mm512_fmadd_ps(x[i], a, b);
	for (int i = 0; i < CHAINS; i++) sum = _mm512_add_ps(sum, x[i]);
	*(float *)result = _mm512_reduce_add_ps(sum);
	return NULL;
}

static double gflops(int threads) {
	double best = 0;
	for (int round = 0; round < 3; round++) {
		pthread_t thread[MAX_THREADS];
		float result[MAX_THREADS];
		double start = now();
		for (int t = 0; t < threads; t++) pthread_create(&thread[t], NULL, multiply_add, &result[t]);
		for (int t = 0; t < threads; t++) pthread_join(thread[t], NULL);
		double g = 2e-9 * threads * STEPS * CHAINS * LANES / (now() - start);
		if (g > best) best = g;
	}
	return best;
}

int main(int argc, char **argv) {
	int threads = argc > 1 ? atoi(argv[1]) : 1;
	static const int shapes[][2] = {{65536, 10}, {8192, 1000}, {1024, 32000}, {512, 128256}};
	static const char *names[] = {"read", "cross_entropy_forward", "cross_entropy_forward_backward"};
	if (threads < 1 || threads > MAX_THREADS) return 2;
	printf("{\"version\": \"gcc %s\", \"fma_gflops\": %.1f, \"results\": [", __VERSION__, gflops(threads));
	for (int s = 0; s < 4; s++) {
		int n = shapes[s][0], k = shapes[s][1];
		size_t bytes = (size_t)n * k * sizeof(float);
		float *z = aligned_alloc(64, bytes), *grad = aligned_alloc(64, bytes);
		for (size_t i = 0; i < bytes / sizeof(float); i++) z[i] = (rand() % 2000 - 1000) / 300.f;
		memset(grad, 0, bytes);
		for (int mode = READ; mode <= BOTH; mode++)
			printf("%s{\"name\": \"%s\", \"shape\": \"%dx%d\", \"threads\": %d, \"median_ms\": %.5f}", s || mode ? ", " : "",
				names[mode], n, k, threads, median_ms(z, grad, n, k, mode, threads));
		free(z), free(grad);
	}
	printf("]}\n");
}

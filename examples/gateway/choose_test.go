package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/extract"
)

// A request waits no longer than it has patience for, all together.
func TestPatience(t *testing.T) {
	inWorld(t, 3, func(t *testing.T, w *world) {
		w.letAll(refuses(429, "Retry-After", "7"))
		start := time.Now()
		_, status := w.do("s")
		require.Equal(t, 429, status)
		require.LessOrEqual(t, time.Since(start), w.g.patience)
		require.Greater(t, time.Since(start), 7*time.Second)
		require.LessOrEqual(t, w.hits["a"], 3)
	})
}

// When all have asked to be left alone, a request waits for the first of them if
// that is soon enough, and else is told when to come again.
func TestWaitsForTheSoonest(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		for after, want := range map[string]int{"5": 200, "60": 429} {
			start := time.Now()
			w.letAll(func() (*http.Response, error) {
				if time.Since(start) < 4*time.Second {
					return refuses(429, "Retry-After", after)()
				}
				return serves(0)()
			})
			_, got := w.do("s" + after)
			require.Equal(t, want, got, after)
			if want == 429 {
				_, got = w.do("t")
				require.Equal(t, 503, got)
			}
			<-time.After(2 * time.Minute)
		}
	})
}

// So does a request that comes when they already have, unless its client leaves.
func TestWaitsWhileAllAreOut(t *testing.T) {
	t.Parallel()
	for _, leaves := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 2)
			start := time.Now()
			w.g.upstreams[0].health.failed(start, 8*time.Second, true)
			w.g.upstreams[1].health.failed(start, 5*time.Second, true)
			if leaves {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				r := httptest.NewRequest("POST", "/v1/chat/completions", strings.NewReader("{}"))
				require.PanicsWithValue(t, http.ErrAbortHandler, func() {
					w.g.ServeHTTP(httptest.NewRecorder(), r.WithContext(ctx))
				})
				require.Equal(t, time.Second, time.Since(start))
				require.Empty(t, w.hits)
				return
			}
			var asked time.Duration
			w.let("b", func() (*http.Response, error) {
				asked = time.Since(start)
				return serves(0)()
			})
			target, status := w.do("s")
			require.Equal(t, 200, status)
			require.Equal(t, "b", target)
			require.Greater(t, asked, 5*time.Second, "not with all others that wait")
			require.Less(t, asked, 6*time.Second)
		})
	}
}

// A wait in which nothing was tried is no round, whoever had been denied before.
func TestWaitThatIsNoRound(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		denied := w.g.upstreams[:1]
		w.g.upstreams[1].health.failed(time.Now(), time.Second, true)
		x := &exchange{setup: w.g.setup.Load(), req: &extract.Request{}, patience: time.Minute, tried: denied, denied: denied, blamed: true, rounds: 1}
		require.NoError(t, w.g.choose(t.Context(), x))
		require.Equal(t, "b", x.choice.ID)
		require.Equal(t, 1, x.rounds)
	})
}

// When all are out, one that did not say for how long may be back already.
func TestLastResort(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3)
	r.backend("a").answers(429, "Retry-After", "60")
	r.backend("b").answers(500)
	r.backend("c").answers(500)
	for i := range 10 {
		r.chat(fmt.Sprint("s", i))
	}
	require.Equal(t, 1, r.in(), "for other models")
	r.backend("b").answers(200)
	r.backend("c").answers(200)
	asked := r.backend("a").hits.Load()
	for i := range 10 {
		require.Equal(t, 200, r.chat(fmt.Sprint("t", i)).StatusCode)
	}
	require.Equal(t, asked, r.backend("a").hits.Load(), "it asked to be left alone")
}

// However often a request waits for an upstream, it waits a little each time.
func TestManyRounds(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		w.let("a", refuses(429, "Retry-After", "1"))
		w.let("b", fails(io.EOF))
		start := time.Now()
		_, status := w.do("s")
		require.GreaterOrEqual(t, status, 400)
		require.LessOrEqual(t, time.Since(start), 5*time.Minute)
		require.Greater(t, w.hits["b"], 40)
	}, func(o *options) { o.patience = 5 * time.Minute })
}

// What may be the request's own fault is tried twice with each, all else as often as there is
// time for, and it makes no difference whether there is another one that is out.
func TestRoundsOfWhatMayBeItsFault(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for status, often := range map[int]bool{500: false, 503: true} {
			for _, n := range []int{2, 3} {
				w := newWorld(t, n)
				if n == 3 {
					w.g.upstreams[2].health.failed(time.Now(), time.Hour, true)
				}
				w.let("a", refuses(status))
				w.let("b", refuses(status))
				_, got := w.do("s")
				require.Equal(t, status, got)
				require.Equal(t, often, w.hits["a"] > 2, "%d: %v", status, w.hits)
				require.Equal(t, often, w.hits["b"] > 2, "%d: %v", status, w.hits)
				require.GreaterOrEqual(t, min(w.hits["a"], w.hits["b"]), 2, status)
			}
		}
	})
}

// An upload may take its client all day. It keeps nobody from an upstream that comes back.
func TestUploadsTakeNoSlot(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		w.run("s", 20, 20*time.Second)
		w.let("a", refuses(503))
		w.run("s", 20, 20*time.Second)
		w.let("a", nil)
		<-time.After(time.Minute)
		end := make(chan struct{})
		drips := readFunc(func(p []byte) (int, error) {
			select {
			case <-end:
				return 0, io.EOF
			case <-time.After(30 * time.Second):
				return 1, nil
			}
		})
		var uploads sync.WaitGroup
		for range 16 {
			uploads.Go(func() {
				r := w.request("POST", "/v1/files", drips)
				r.ContentLength = 1 << 40
				w.g.ServeHTTP(httptest.NewRecorder(), r)
			})
		}
		shares := w.run("t", 20, 5*time.Minute)
		close(end)
		uploads.Wait()
		require.Greater(t, shares["a"], 0.3)
		for _, u := range w.g.upstreams {
			require.Zero(t, u.health.used)
		}
	})
}

// Who only looks takes nobody's place, not for a moment.
func TestPeekTakesNoSlot(t *testing.T) {
	t.Parallel()
	var h health
	now := time.Now()
	h.failed(now.Add(-time.Hour), time.Second, true)
	var looking sync.WaitGroup
	var done atomic.Bool
	for range 4 {
		looking.Go(func() {
			for !done.Load() {
				h.admit(now, 0, false)
			}
		})
	}
	refused := 0
	for range 100_000 {
		if _, slot, _ := h.admit(now, 0, true); slot {
			h.release()
		} else {
			refused++
		}
	}
	done.Store(true)
	looking.Wait()
	require.Zero(t, refused)
}

package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A request that gets no answer is sent elsewhere, though it waits alone; but
// not one that takes long anywhere, again and again.
func TestHangsAlone(t *testing.T) {
	inWorld(t, 3, func(t *testing.T, w *world) {
		log := new(safeBuffer)
		w.g.log = slog.New(slog.NewTextHandler(log, nil))
		w.run("s", 30, 30*time.Second)
		home, _ := w.do("s1")
		w.let(home, fails(errHangs))
		start := time.Now()
		target, status := w.do("s1")
		require.Equal(t, 200, status)
		require.NotEqual(t, home, target)
		require.GreaterOrEqual(t, time.Since(start), 2*silence)
		require.Less(t, time.Since(start), 20*time.Second)
		require.Equal(t, 1, strings.Count(log.String(), errSilent.Error()), "of "+home)

		w.let(home, nil)
		w.run("s", 30, time.Minute)
		w.letAll(func() (*http.Response, error) {
			<-time.After(5 * time.Minute)
			return serves(0)()
		})
		clear(w.hits)
		_, status = w.do("s2")
		require.Equal(t, 200, status)
		require.Len(t, w.hits, 2)
	})
}

// Where several requests wait, that takes half as long. While others are answered there, if only
// that it cannot serve them, or if no upstream is to count as slow, none is taken to hang.
func TestHangs(t *testing.T) {
	t.Parallel()
	nobody := fails(&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED})
	for name, tt := range map[string]struct {
		slow    float64
		waiting int
		others  int                            // that are answered meanwhile, one a second,
		then    func() (*http.Response, error) // one that comes after them,
		later   int                            // and some that come at last and wait, too
		hangs   bool
	}{
		"several wait":                  {4, several, 0, nil, 0, true},
		"others are answered":           {4, several, 20, nil, 0, false},
		"one is answered, then no more": {4, several, 1, nil, several, true},
		"then nobody is there":          {4, several, 1, nobody, 0, true},
		"then one gets an error":        {4, several, 20, refuses(529), 0, false},
		"none is slow":                  {0, 1, 0, nil, 0, false},
		"none is slow as soon as that":  {800, several, 0, nil, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, 3, func(t *testing.T, w *world) {
				w.run("s", 30, 30*time.Second)
				home, _ := w.do("s1")
				hangs := func() (*http.Response, error) {
					if tt.hangs {
						return nil, errHangs
					}
					<-time.After(time.Minute)
					return serves(0)()
				}
				w.let(home, hangs)
				var wg sync.WaitGroup
				start := time.Now()
				send := func(n int) {
					for range n {
						wg.Go(func() {
							target, status := w.do("s1")
							assert.Equal(t, 200, status)
							assert.Equal(t, tt.hangs, target != home)
						})
					}
					synctest.Wait()
				}
				send(tt.waiting)
				w.let(home, nil)
				for range tt.others {
					<-time.After(time.Second)
					w.do("s1")
				}
				if tt.then != nil {
					w.let(home, tt.then)
					w.do("s1")
				}
				w.let(home, hangs)
				send(tt.later)
				wg.Wait()
				require.Equal(t, tt.hangs, time.Since(start) < 2*silence)
			}, func(o *options) { o.slow = tt.slow })
		})
	}
}

// An upstream that was heard before the wall clock was set back may hang all the same.
func TestHangsAfterTheClockIsSetBack(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2, func(o *options) { o.slow = 4 })
	s := r.g.setup.Load()
	u, other := s.upstreams[0], s.upstreams[1]
	other.paces[whole].set(50*time.Millisecond, paceFirm)
	for _, back := range []time.Duration{0, time.Hour, -time.Hour} {
		x := &exchange{setup: s, choice: &selection{Target: u}}
		heard := time.Now()
		start := heard.Add(time.Second)
		r.g.served(x, heard, wallClockAhead(heard, back), unknown)
		w := &watchdog{g: r.g, x: x, u: u, start: start}
		require.True(t, w.silent(whole, time.Minute), back)
		w.start = heard
		require.False(t, w.silent(whole, time.Minute), back)
	}
}

// wallClockAhead returns t as it is told by a wall clock that is d ahead.
func wallClockAhead(t time.Time, d time.Duration) time.Time {
	type monotonic struct { // a time.Time that has a monotonic reading
		wall uint64
		ext  int64
		loc  *time.Location
	}
	t = t.Add(d)
	(*monotonic)(unsafe.Pointer(&t)).ext -= int64(d)
	return t
}

// Requests that take long anywhere are not sent from one upstream to the next for
// that, whether they come alone or together, and however large they are.
func TestLongAnswers(t *testing.T) {
	t.Parallel()
	const usual = 500 * time.Millisecond
	for _, n := range []int{1, 3, 6} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 4)
			var attempts atomic.Int32
			takes := usual
			w.g.send = rtFunc(func(r *http.Request) (*http.Response, error) {
				attempts.Add(1)
				take(r)
				select {
				case <-time.After(takes):
				case <-r.Context().Done():
					return nil, r.Context().Err() // as package http has it for HTTP/2
				}
				resp := stream(first, final)
				resp.Request = r
				return resp, nil
			})
			for i := range 60 {
				w.do(fmt.Sprint("s", i%12))
			}
			<-time.After(time.Minute)
			takes = 90 * time.Second
			attempts.Store(0)
			codes := make(chan int)
			for range n {
				go func() {
					_, status := w.do("s1")
					codes <- status
				}()
			}
			for range n {
				require.Equal(t, 200, <-codes)
			}
			require.LessOrEqual(t, attempts.Load(), int32(2*n))
		})
	}
}

// How long a body takes to come from the client says nothing about the upstream.
func TestLongUploads(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		w.g.send = rtFunc(func(r *http.Request) (*http.Response, error) {
			if r.Body != nil {
				if _, err := io.Copy(io.Discard, r.Body); err != nil {
					return nil, err
				}
			}
			if err := context.Cause(r.Context()); err != nil {
				return nil, err
			}
			resp := stream(first, final)
			resp.Request = r
			return resp, nil
		})
		for i := range 40 {
			w.do(fmt.Sprint("s", i))
		}
		for _, u := range w.g.upstreams {
			u.paces[whole].set(100*time.Millisecond, paceFirm)
		}
		codes := make(chan int)
		for range 16 {
			go func() {
				rec := httptest.NewRecorder()
				w.g.ServeHTTP(rec, w.request("POST", "/v1/files", slowly(60, 500*time.Millisecond), "X-Session-ID", "uploader"))
				codes <- rec.Code
			}()
		}
		for range 16 {
			require.Equal(t, 200, <-codes)
		}
		for _, u := range w.g.status().Upstreams {
			require.Equal(t, "in", u.State)
		}
	}, func(o *options) { o.bodyLimit = 1 << 10 })
}

// slowly is a body of so many kilobytes that takes its time for each.
func slowly(n int, each time.Duration) io.Reader {
	return readFunc(func(p []byte) (int, error) {
		if n--; n < 0 {
			return 0, io.EOF
		}
		<-time.After(each)
		return copy(p, make([]byte, 1<<10)), nil
	})
}

package main

import (
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

// One that failed is tried by one request when its time is over, and by more as
// long as they are served.
func TestHealthComesBackByAndBy(t *testing.T) {
	t.Parallel()
	var h health
	now := time.Unix(1000, 0)
	admitted := func() (n int) {
		for {
			s, slot, _ := h.admit(now, 0, true)
			if s != fit {
				require.False(t, slot)
				return n
			}
			if n++; !slot {
				return -1 // any number
			}
		}
	}
	require.Equal(t, -1, admitted())
	require.True(t, h.well(now))
	for _, want := range []time.Duration{10, 20, 40, 80, 80} {
		require.True(t, h.failed(now, 80*time.Second, false))
		require.False(t, h.failed(now, time.Second, true), "does not bring it back sooner")
		require.False(t, h.failed(now, 80*time.Second, false), "others that failed at the same time")
		end := now.Add(want * time.Second)
		s, slot, until := h.admit(end.Add(-1), 0, true)
		require.Equal(t, failing, s)
		require.False(t, slot)
		require.Equal(t, end, until)
		now = end
		s, slot, _ = h.admit(now, 0, true)
		require.Equal(t, fit, s)
		require.True(t, slot)
		h.release()
	}
	require.False(t, h.well(now))
	require.Equal(t, 1, admitted())
	h.release()
	require.Equal(t, 1, admitted(), "what was given back")
	back, _ := h.served(now, now, true, unknown)
	require.True(t, back)
	require.Equal(t, 2, admitted())
	for _, how := range []speed{unknown, late} {
		back, _ = h.served(now, now, true, how)
		require.False(t, back, "told once")
	}
	require.Equal(t, 4, admitted(), "twice as many")

	h.failed(now, time.Minute, true)
	h.release()
	s, slot, _ := h.admit(now, 0, true)
	require.Equal(t, refusing, s)
	require.False(t, slot)
	for range 3 { // those that it took before it failed do not count
		back, better := h.served(now.Add(-1), now, true, unknown)
		require.False(t, back || better)
	}
	failed := now
	now = now.Add(time.Minute)
	h.served(failed, now, false, unknown) // nor if they take longer than that
	require.Equal(t, 1, admitted())
	h.served(now, now, true, unknown)
	require.Equal(t, 2, admitted())
	for n := 2; n < fullWindow; n++ {
		h.served(now, now, n == 2, unknown)
	}
	require.Equal(t, -1, admitted())
	h.served(now, now, true, unknown)
	word, _ := h.state(now)
	require.Equal(t, "in", word, "the last of those that it was tried with changes nothing")
	require.True(t, h.well(now))
	h.limited(now, time.Minute, 1)
	require.False(t, h.well(now), "not for all requests")
	require.Equal(t, -1, admitted())
	h.failed(now, 80*time.Second, false)
	s, _, until := h.admit(now, 0, true)
	require.Equal(t, failing, s)
	require.Equal(t, now.Add(10*time.Second), until, "for an eighth again")
}

// For how long one is out grows with how often it has failed, not with how often it has said
// for how long itself; and it is only tried sooner than that if it did not say so.
func TestHealthOfWhoSaysHowLong(t *testing.T) {
	t.Parallel()
	var h health
	now := time.Unix(1000, 0)
	for range 3 {
		h.failed(now, time.Second, true)
		h.tryNow(now)
		s, _, until := h.admit(now, 0, false)
		require.Equal(t, refusing, s)
		now = until
	}
	h.failed(now, 80*time.Second, false)
	s, _, until := h.admit(now, 0, false)
	require.Equal(t, failing, s)
	require.Equal(t, now.Add(10*time.Second), until)
	h.tryNow(now)
	s, _, _ = h.admit(now, 0, false)
	require.Equal(t, fit, s)

	// If another request fails there meanwhile, it is still to be left alone, and for longer.
	h = health{}
	h.failed(now, time.Second, true)
	require.False(t, h.failed(now, 80*time.Second, false))
	h.tryNow(now)
	s, _, until = h.admit(now, 0, false)
	require.Equal(t, refusing, s)
	require.Equal(t, now.Add(10*time.Second), until)
}

// One that serves what was sent after it failed, for want of others, is back at once, unless
// it asked to be left alone.
func TestHealthBetterThanThought(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		asked bool
		start time.Duration // after it failed
		want  standing
	}{
		{false, 1, fit},
		{false, 0, failing},
		{true, 1, refusing},
	} {
		var h health
		now := time.Unix(1000, 0)
		h.failed(now, time.Minute, tt.asked)
		back, _ := h.served(now.Add(tt.start), now.Add(time.Second), false, unknown)
		require.Equal(t, tt.want == fit, back, "%v", tt)
		s, _, _ := h.admit(now.Add(time.Second), 0, false)
		require.Equal(t, tt.want, s, "%v", tt)
	}
}

// Whatever one that comes back answers to takes up a place no longer than until then, and shows
// that it serves, unless it turns the client away.
func TestHealthComesBackWithAnyAnswer(t *testing.T) {
	t.Parallel()
	for request, status := range map[string]int{
		"POST /v1/messages": 200, "POST /large": 200, "GET /v1/models": 200, "HEAD /": 200, "POST /v1/nothing": 404, "POST /v1/denied": 401,
		"POST /v1/too/much": 429, "POST /v1/late": 408,
	} {
		t.Run(request, func(t *testing.T) {
			inWorld(t, 1, func(t *testing.T, w *world) {
				w.let("a", func() (*http.Response, error) {
					resp := stream(first, final)
					resp.StatusCode = status
					if status != 408 {
						resp.Header.Set("Retry-After", "1")
					}
					return resp, nil
				})
				u := w.g.upstreams[0]
				u.health.failed(time.Now().Add(-time.Minute), time.Second, true)
				method, path, _ := strings.Cut(request, " ")
				body := ""
				if path == "/large" {
					body = strings.Repeat("large", 1000)
				}
				for range fullWindow {
					require.Equal(t, status, w.ask(method, path, body).Code)
					require.Zero(t, u.health.used)
				}
				word, _ := u.health.state(time.Now())
				require.Equal(t, map[bool]string{true: "coming back", false: "in"}[status == 401 || status == 429 || status == 408], word)
			}, func(o *options) { o.bodyLimit = 1000 })
		})
	}
}

// However many limits there are, such as of models that are made up, few are kept in mind.
func TestHealthOfManyLimits(t *testing.T) {
	t.Parallel()
	var h health
	now := time.Unix(1000, 0)
	for limit := range uint64(3 * maxLimits) {
		require.Equal(t, limit == 0, h.limited(now, time.Minute, 1+limit), "told once")
		require.False(t, h.limited(now, time.Second, 1+limit))
		s, slot, until := h.admit(now, 1+limit, true)
		require.Equal(t, refusing, s)
		require.False(t, slot)
		require.Equal(t, now.Add(time.Minute), until)
		require.LessOrEqual(t, len(h.limits), maxLimits)
	}
	require.Len(t, h.limits, maxLimits)
	s, slot, _ := h.admit(now, 0, true)
	require.Equal(t, fit, s)
	require.False(t, slot)
	now = now.Add(time.Minute)
	require.True(t, h.limited(now, time.Minute, 1), "another time")
	require.Len(t, h.limits, 1, "those that are over are forgotten")
	h.limited(now, 2*time.Minute, 2)
	s, _, _ = h.admit(now.Add(time.Minute), 1, true)
	require.Equal(t, fit, s, "whatever is left of another one")
	h.limited(now, time.Second, 3)
	require.False(t, h.limited(now.Add(time.Minute), time.Second, 4), "another one is not over")
}

// While there is always some limit, those that are over make room for new ones.
func TestHealthOfLimitsThatAreOver(t *testing.T) {
	t.Parallel()
	var h health
	now := time.Unix(1000, 0)
	for limit := range uint64(4 * maxLimits) {
		h.limited(now, time.Minute, 1+limit)
		now = now.Add(time.Second)
		for i := range min(limit, 59) {
			s, _, _ := h.admit(now, 1+limit-i, true)
			require.Equal(t, refusing, s, "%d of %d", 1+limit-i, limit)
		}
	}
}

// One that is slow gets a single request a second, until three in a row are quick.
func TestHealthWhileSlow(t *testing.T) {
	t.Parallel()
	var h health
	now := time.Unix(1000, 0)
	probe := func() bool {
		s, slot, _ := h.admit(now, 0, true)
		return s == fit && slot
	}
	require.True(t, h.slows(now))
	require.False(t, h.slows(now), "told once")
	require.False(t, probe(), "not at once")
	for range quickEnough {
		_, better := h.served(now, now, false, quick)
		require.False(t, better, "it had these before")
	}
	for i, how := range []speed{quick, late, quick, quick, quick} {
		now = now.Add(probeGap)
		require.True(t, probe())
		require.False(t, probe(), "one at a time")
		for range quickEnough {
			h.served(now, now, true, unknown)
			require.True(t, probe(), "that was no answer to judge by")
		}
		_, better := h.served(now, now, true, how)
		require.Equal(t, i == 4, better)
		if !better {
			require.False(t, probe(), "not at once")
		}
	}
	require.True(t, probe())
	require.True(t, probe(), "two now")
	back, _ := h.served(now, now, true, quick)
	require.False(t, back, "it was never away")

	// Who is found to be slow again begins anew to show that it is not.
	again := health{}
	again.slows(now)
	for i := range 2 * quickEnough {
		now = now.Add(probeGap)
		if i == quickEnough-1 {
			require.False(t, again.slows(now))
		}
		_, slot, _ := again.admit(now, 0, true)
		require.True(t, slot)
		_, better := again.served(now, now, true, quick)
		require.Equal(t, i == 2*quickEnough-2, better)
	}

	// One that was out as well is back with its first answer, however slow it is.
	h.release()
	h.slows(now)
	h.failed(now, probeGap, true)
	require.True(t, h.unproven())
	for i := range quickEnough {
		now = now.Add(probeGap)
		require.True(t, probe())
		back, better := h.served(now, now, true, late)
		require.Equal(t, i == 0, back)
		require.False(t, better)
		require.False(t, h.unproven())
	}
}

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

// A request that is answered with 500 wherever it goes, or makes everyone hang up,
// leaves out one upstream. Where nobody is, it is not the request.
func TestPoison(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		does func() (*http.Response, error)
		out  int
		why  string
	}{
		"500":                         {refuses(500), 1, "status 500"},
		"501":                         {refuses(501), 1, "status 501"},
		"504":                         {refuses(504), 1, "status 504"},
		"408":                         {refuses(408), 0, "status 408"},
		"425":                         {refuses(425), 0, "status 425"},
		"502":                         {refuses(502), 4, "status 502"}, // what stands before it says that nobody is there
		"503":                         {refuses(503), 4, "status 503"},
		"hangs up":                    {fails(io.EOF), 1, "connection closed without an answer"},
		"resets":                      {fails(&net.OpError{Op: "read", Err: syscall.ECONNRESET}), 1, "read: connection reset by peer"},
		"breaks off":                  {streams(io.ErrUnexpectedEOF), 1, "broke off"},
		"tells of it":                 {streams(tells("api_error")), 1, "error in the response"},
		"tells that it is overloaded": {streams(overloaded), 4, "error in the response"},
		"tells of its limit":          {streams(tells("rate_limit_error")), 4, "error in the response"},
		"tells of its credential":     {streams(tells("authentication_error")), 4, "error in the response"},
		"no proxy": {func() (*http.Response, error) {
			return nil, &net.OpError{Op: "proxyconnect", Err: &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}}
		}, 4, "proxyconnect: dial: connection refused"},
		"nobody there": {fails(&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}), 4, "dial: connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, 4, func(t *testing.T, w *world) {
				log := new(safeBuffer)
				w.g.log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
				w.letAll(tt.does)
				w.do("s")
				require.Len(t, w.hits, 4)
				for _, u := range w.g.upstreams {
					require.Equal(t, 1, w.hits[u.name], "once each")
					require.Zero(t, u.health.used, "as many places given back as taken")
				}
				out := 0
				for _, u := range w.g.status().Upstreams {
					line := `level=DEBUG msg="request failed" target=` + u.Name + ` why="` + tt.why + `"`
					if !u.Available {
						out++ // for an eighth of -cooldown
						line = `level=WARN msg="upstream out" target=` + u.Name + ` for=1.25s why="` + tt.why + `" limits=all`
					}
					require.Equal(t, 1, strings.Count(log.String(), line), "%s in %s", line, log)
				}
				require.Equal(t, tt.out, out)
			}, func(o *options) { o.patience = 0 })
		})
	}
}

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
		w := &watchdog{g: r.g, x: x, u: u, start: start, first: true}
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

// New sessions are not given to one that is slow; its own come back when it is not.
func TestSlowUpstream(t *testing.T) {
	inWorld(t, 4, func(t *testing.T, w *world) {
		log := new(safeBuffer)
		w.g.log = slog.New(slog.NewTextHandler(log, nil))
		w.run("s", 100, 20*time.Second)
		require.Empty(t, log.String())
		w.let("a", serves(8*time.Second))
		w.run("s", 100, 30*time.Second)
		require.Equal(t, 1, strings.Count(log.String(), "upstream slow"), "told once")
		require.Equal(t, "slow", w.g.status().Upstreams[0].State)
		require.Less(t, w.run("new-", 100, 20*time.Second)["a"], 0.02, "a probe now and then")
		w.let("a", nil)
		w.run("s", 100, 45*time.Second)
		require.NotEqual(t, "slow", w.g.status().Upstreams[0].State)
		require.InDelta(t, 0.25, w.run("s", 100, 20*time.Second)["a"], 0.05)
		require.Equal(t, 1, strings.Count(log.String(), "upstream back"), "told once")
	})
}

// One that is no longer slow to begin its answers whole is not so again for how slow its
// streams were.
func TestSlowInBothKinds(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		for kind := range 2 {
			w.g.upstreams[0].paces[kind].set(time.Minute, paceFirm)
			w.g.upstreams[1].paces[kind].set(100*time.Millisecond, paceFirm)
		}
		w.g.upstreams[0].health.slows(time.Now())
		w.let("a", func() (*http.Response, error) {
			resp := stream("{}")
			resp.Header.Set("Content-Type", "application/json")
			return resp, nil
		})
		for i := range 30 {
			<-time.After(time.Second)
			w.do(fmt.Sprint("whole-", i))
		}
		require.NotEqual(t, "slow", w.g.status().Upstreams[0].State)
		w.let("a", nil)
		for i := range 10 {
			w.do(fmt.Sprint("streamed-", i))
			require.NotEqual(t, "slow", w.g.status().Upstreams[0].State)
		}
	})
}

// What needs nothing to be generated is answered soon by one that is slow, too, and does not
// make it no longer slow.
func TestSlowBesideQuickAnswers(t *testing.T) {
	t.Parallel()
	for name, path := range map[string]string{
		"a list":                "GET /v1/models/all",
		"a count":               "POST /v1/messages/count_tokens",
		"what is not there":     "POST /v1/nothing",
		"too large to be timed": "POST /v1/large",
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, 4, func(t *testing.T, w *world) {
				method, path, _ := strings.Cut(path, " ")
				var late atomic.Int32
				quick := rtFunc(func(r *http.Request) (*http.Response, error) {
					if r.URL.Path != path {
						if r.URL.Host == "a" {
							late.Add(1)
						}
						return w.RoundTrip(r)
					}
					<-time.After(20 * time.Millisecond)
					resp := stream("{}")
					resp.Request = r
					if path == "/v1/nothing" {
						resp.StatusCode = 404
					}
					return resp, nil
				})
				w.g.send, w.g.fresh = quick, quick
				w.run("s", 30, 20*time.Second)
				w.let("a", serves(8*time.Second))
				w.run("s", 30, 20*time.Second)
				var over atomic.Bool
				var wg sync.WaitGroup
				for range 8 {
					wg.Go(func() {
						for !over.Load() {
							<-time.After(500 * time.Millisecond)
							body := `{"model":"m","messages":[]}`
							if path == "/v1/large" {
								body = strings.Repeat(body, 100)
							}
							w.ask(method, path, body)
						}
					})
				}
				late.Store(0)
				w.run("s", 30, time.Minute)
				over.Store(true)
				wg.Wait()
				require.LessOrEqual(t, late.Load(), int32(9), "one at a time")
			}, func(o *options) { o.bodyLimit = 1000 })
		})
	}
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

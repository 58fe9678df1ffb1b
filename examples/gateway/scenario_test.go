package main

import (
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// What the gateway is judged by: with a hundred sessions at once, and an
// upstream in trouble of every kind, no request is lost that could have been
// served, no session is at more than two upstreams, and when the trouble is over,
// every upstream soon has its share again.
func TestTroubles(t *testing.T) {
	t.Parallel()
	dies := streams(first, errors.New("gone"))
	for name, tt := range map[string]struct {
		trouble func(w *world)
		breaks  bool // streams that have begun
	}{
		"fails":     {func(w *world) { w.let("a", refuses(500)) }, false},
		"is gone":   {func(w *world) { w.let("a", fails(io.EOF)) }, false},
		"says 429":  {func(w *world) { w.let("a", refuses(429, "Retry-After", "5")) }, false},
		"says 529":  {func(w *world) { w.let("a", refuses(529)) }, false},
		"says 401":  {func(w *world) { w.let("a", refuses(401)) }, false},
		"hangs":     {func(w *world) { w.let("a", fails(errHangs)) }, false},
		"dies soon": {func(w *world) { w.let("a", streams(errors.New("gone"))) }, false},
		"overloaded at once": {func(w *world) {
			w.let("a", streams(overloaded))
		}, false},
		"dies in mid-stream": {func(w *world) { w.let("a", dies) }, true},
		"is slow":            {func(w *world) { w.let("a", serves(8*time.Second)) }, false},
		"flaps": {func(w *world) {
			start := time.Now()
			w.let("a", func() (*http.Response, error) {
				if time.Since(start)/(3*time.Second)%2 == 0 {
					return nil, io.EOF
				}
				return serves(50 * time.Millisecond)()
			})
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const sessions = 100
				w := newWorld(t, 4)
				w.run("s", sessions, 10*time.Second)
				tt.trouble(w)
				during := w.run("s", sessions, 30*time.Second)
				w.let("a", nil)
				w.run("s", sessions, 45*time.Second) // it comes back by and by
				after := w.run("s", sessions, 30*time.Second)
				require.Zero(t, w.lost, "lost")
				if !tt.breaks {
					require.Zero(t, w.broken)
				}
				require.Less(t, w.broken, sessions/2, "the first ones only, and some that look whether it is back")
				require.Less(t, during["a"], 0.25)
				for s, targets := range w.seen {
					delete(targets, "")
					require.LessOrEqual(t, len(targets), 2, "%s was at %v", s, targets)
				}
				for _, u := range w.g.setup.Load().upstreams {
					require.InDelta(t, 0.25, after[u.name], 0.05, "%s of %v", u.name, after)
					require.Zero(t, u.health.used, "a slot was not given back")
				}
				t.Logf("during %v, after %v, broken off %d", during, after, w.broken)
			})
		})
	}
}

// When all are in trouble at once, but not for long, requests wait. Afterwards all
// is as it was, for new sessions too.
func TestAllInTrouble(t *testing.T) {
	t.Parallel()
	for name, trouble := range map[string]func() (*http.Response, error){
		"gone":     fails(io.EOF),
		"says 503": refuses(503),
		"says 429": refuses(429, "Retry-After", "2"),
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, 4, func(t *testing.T, w *world) {
				w.run("s", 60, 10*time.Second)
				start := time.Now()
				w.letAll(func() (*http.Response, error) {
					if time.Since(start) < 5*time.Second {
						return trouble()
					}
					return serves(50 * time.Millisecond)()
				})
				w.run("s", 60, 30*time.Second)
				require.Zero(t, w.lost)
				for _, prefix := range []string{"s", "new-"} {
					shares := w.run(prefix, 60, 30*time.Second)
					for _, u := range w.g.upstreams {
						require.InDelta(t, 0.25, shares[u.name], 0.05, "%s of %v", u.name, shares)
					}
				}
			})
		})
	}
}

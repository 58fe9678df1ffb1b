package main

import (
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/extract"
)

// The client is told to come back when the first upstream does, whichever answered last.
func TestSoonestRetryAfter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range []struct {
			status int
			a, b   []string      // headers of their refusals
			want   time.Duration // up to half a second more
		}{
			{429, []string{"Retry-After", "40"}, []string{"Retry-After", "200"}, 40 * time.Second},
			{529, []string{"Retry-After", "200"}, []string{"Retry-After", "40"}, 40 * time.Second},
			{503, []string{"Retry-After-Ms", "30500"}, []string{"Retry-After-Ms", "200000", "Retry-After", "200"}, 30500 * time.Millisecond},
		} {
			w := newWorld(t, 2)
			w.let("a", refuses(tt.status, tt.a...))
			w.let("b", refuses(tt.status, tt.b...))
			rec := w.ask("POST", "/v1/messages", "{}")
			require.Equal(t, tt.status, rec.Code)
			got := pause(rec.Result(), time.Now())
			require.True(t, got >= tt.want && got <= tt.want+time.Second/2, "%v: %v", tt, got)
		}
	})
}

// What cannot be sent again is for the client to send, at once if another upstream is there.
func TestRetryAfterOfLargeBodies(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		w.letAll(refuses(429, "Retry-After", "200"))
		rec := w.ask("POST", "/v1/messages", "{}")
		require.Equal(t, 429, rec.Code)
		require.Len(t, w.hits, 1)
		require.Equal(t, "1", rec.Header().Get("Retry-After"))
	}, func(o *options) { o.bodyLimit = 1 })
}

func TestHasten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b := &upstream{name: "a"}, &upstream{name: "b"}
		b.health.failed(time.Now(), 200*time.Second, true)
		x := &exchange{setup: &setup{upstreams: []*upstream{a, b}}, req: &extract.Request{}}
		hastened := func(status int, after string) string {
			resp := &http.Response{StatusCode: status, Header: http.Header{"Retry-After": {after}, "Retry-After-Ms": {after + "000"}}}
			x.hasten(resp)
			require.Equal(t, resp.Header.Get("Retry-After") == after, len(resp.Header["Retry-After-Ms"]) > 0)
			return resp.Header.Get("Retry-After")
		}
		x.hasten(nil)
		require.Equal(t, "1", hastened(429, "200"), "a takes it at once")
		require.Equal(t, "200", hastened(202, "200"), "that is for something else")
		x.tried = []*upstream{a, b}
		require.Equal(t, "200", hastened(429, "200"), "a was of no use")
		x.tried = nil
		a.health.failed(time.Now(), 10*time.Second, false)
		require.Equal(t, "200", hastened(503, "200"), "a may be gone for good")
		a.health.failed(time.Now(), 40*time.Second, true)
		<-time.After(500 * time.Millisecond)
		require.Equal(t, "40", hastened(503, "200"))
		require.Equal(t, "40", hastened(503, "40"), "as the upstream says, with its fractions")
		x.tried = []*upstream{a, b}
		require.Equal(t, "40", hastened(500, "200"), "a says for how long it is of no use")
		x.tried = nil
		<-time.After(time.Minute)
		require.Equal(t, "1", hastened(503, "200"))
		_, slot, _ := a.health.admit(time.Now(), 0, true)
		require.True(t, slot, "the only one is still free")
	})
}

// Who says for how long is left out for that long, though the request may be to blame.
func TestPauseOfWhatFailsEverywhere(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		w.letAll(refuses(500, "Retry-After", "9"))
		w.ask("POST", "/v1/chat/completions", "{}")
		for _, u := range w.g.upstreams {
			s, _, _ := u.health.admit(time.Now().Add(8*time.Second), 0, false)
			require.Equal(t, refusing, s, u.name)
		}
	}, func(o *options) { o.patience = time.Second })
}

// Nobody waits for those that do not accept the gateway's own key.
func TestNoPatienceWithWhoDenies(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		w.letAll(refuses(401))
		start := time.Now()
		require.Equal(t, 502, w.ask("POST", "/v1/chat/completions", "{}").Code)
		require.Equal(t, map[string]int{"a": 1, "b": 1}, w.hits)
		require.Zero(t, time.Since(start))
	}, keyed("k"))
}

// The client is not told to come back to one that was of no use to it twice.
func TestRetryAfterOfWhatFailsEverywhere(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		w.let("a", refuses(500, "Retry-After", "9"))
		w.let("b", fails(io.EOF))
		rec := w.ask("POST", "/v1/chat/completions", "{}")
		require.Equal(t, 500, rec.Code)
		require.Equal(t, 2, w.hits["b"])
		require.Equal(t, "9", rec.Header().Get("Retry-After"))
	}, func(o *options) { o.cooldown = time.Second })
}

func TestPause(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 4, 0, 0, 0, time.UTC)
	for after, want := range map[string]time.Duration{
		"":                        0,
		"soon":                    0,
		"-3":                      0,
		"0":                       0,
		"30":                      30 * time.Second,
		"99999999999":             maxPause,
		"9223372036854775807":     maxPause,
		"99999999999999999999999": maxPause,
		"1e999":                   maxPause,
		"1.5":                     1500 * time.Millisecond,
		"NaN":                     0,
		now.Add(time.Minute).Format(http.TimeFormat):    time.Minute,
		now.Add(-time.Minute).Format(http.TimeFormat):   0,
		now.Add(24 * time.Hour).Format(http.TimeFormat): maxPause,
	} {
		resp := &http.Response{Header: http.Header{}}
		if after != "" {
			resp.Header.Set("Retry-After", after)
		}
		require.Equal(t, want, pause(resp, now), after)
	}
	resp := &http.Response{Header: http.Header{"Retry-After": {"1"}, "Retry-After-Ms": {"250"}}}
	require.Equal(t, 250*time.Millisecond, pause(resp, now))
	for _, ms := range []string{"0", "NaN", "-1", "x"} {
		resp.Header.Set("Retry-After-Ms", ms)
		require.Equal(t, time.Second, pause(resp, now), ms)
	}
}

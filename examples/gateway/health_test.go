package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

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

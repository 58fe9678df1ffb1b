package main

import (
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/extract"
)

// A few answers that take long do not move a pace much, and one that was forgotten takes as long
// as the first to be known.
func TestPaceOfLongPrompts(t *testing.T) {
	t.Parallel()
	var p pace
	for range 2 {
		for i := range 3 * paceFirm {
			_, ok := p.get()
			require.Equal(t, i >= paceFirm, ok)
			p.observe(time.Second)
		}
		p.observe(time.Minute)
		d, _ := p.get()
		require.InDelta(t, math.Pow(60, 1.0/paceMemory), d.Seconds(), 0.01)
		p.set(time.Hour, paceFirm)
		d, ok := p.get()
		require.True(t, ok)
		require.InDelta(t, time.Hour.Seconds(), d.Seconds(), 0.01)
		p.set(0, 0)
	}
}

// An upstream is slow beside the median of the others, and beside nobody if no upstream is to be.
func TestSlowBesideOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 5)
	x := &exchange{setup: w.g.setup.Load(), req: &extract.Request{Method: "POST", Path: "/v1/messages"}}
	u := x.upstreams[0]
	_, ok := allowed(x.upstreams, u, whole, 4)
	require.False(t, ok)
	for i, seconds := range []int{100, 50, 10, 2, 1} {
		x.upstreams[i].paces[whole].set(time.Duration(seconds)*time.Second, paceFirm)
	}
	for upstreams, want := range map[int]float64{5: 4 * 2, 4: 4 * 10, 3: 4 * 10, 2: 4 * 50} {
		limit, ok := allowed(x.upstreams[:upstreams], u, whole, 4)
		require.True(t, ok)
		require.InDelta(t, want, limit.Seconds(), 0.01, upstreams)
	}
	limit, _ := allowed(x.upstreams, u, whole, 1.1)
	require.Equal(t, floors[whole], limit)

	how, slow := w.g.begun(x, u, whole, 9*time.Second)
	require.Equal(t, late, how)
	require.True(t, slow)
	how, slow = w.g.begun(x, u, whole, 7*time.Second)
	require.Equal(t, quick, how)
	require.True(t, slow, "by what it took before")
	w.g.slow = 0
	how, slow = w.g.begun(x, u, whole, 9*time.Second)
	require.Equal(t, quick, how)
	require.False(t, slow)
}

func TestAsks(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		path, body string
		want       int
	}{
		{"/v1/messages", "", whole},
		{"/v1/messages", `{"stream":true}`, streamed},
		{"/v1/messages", "{\"stream\" :\n\ttrue}", streamed},
		{"/v1/messages", `{"stream":false}`, whole},
		{"/v1/messages", `{"words":["stream",true]}`, whole},
		{"/v1/messages", `{"word":"stream","stream":true}`, streamed},
		{"/v1beta/models/m:generateContent", "{}", whole},
		{"/v1beta/models/m:streamGenerateContent", "{}", streamed},
	} {
		x := exchange{req: &extract.Request{Path: tt.path, Body: []byte(tt.body)}}
		require.Equal(t, tt.want, x.asks(), tt.path+" "+tt.body)
	}
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

// One is slow before it has begun an answer, if it takes long enough for that already.
func TestSlowWithoutAnAnswer(t *testing.T) {
	inWorld(t, 4, func(t *testing.T, w *world) {
		log := new(safeBuffer)
		w.g.log = slog.New(slog.NewTextHandler(log, nil))
		w.run("s", 100, 20*time.Second)
		w.let("a", serves(silence-time.Second))
		time.AfterFunc(silence-2*time.Second, func() { assert.Equal(t, "slow", w.g.status().Upstreams[0].State) })
		w.run("s", 100, silence-2*time.Second)
		require.Equal(t, 1, strings.Count(log.String(), "upstream slow"), "told once")
		require.Contains(t, log.String(), "waiting="+suspicion.String())
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

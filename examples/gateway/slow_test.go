package main

import (
	"math"
	"testing"
	"time"

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

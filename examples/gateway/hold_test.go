package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity"
)

// timedWriter notes when the client gets what.
type timedWriter struct {
	*httptest.ResponseRecorder
	start time.Time
	got   []string
}

func (w *timedWriter) WriteHeader(code int) {
	w.note("status")
	w.ResponseRecorder.WriteHeader(code)
}

func (w *timedWriter) Write(p []byte) (int, error) {
	w.note(string(p))
	return w.ResponseRecorder.Write(p)
}

func (w *timedWriter) note(what string) {
	w.got = append(w.got, fmt.Sprintf("%v %s", time.Since(w.start), what))
}

// timed sends a request and returns when what of the answer came.
func (w *world) timed() *timedWriter {
	tw := &timedWriter{ResponseRecorder: httptest.NewRecorder(), start: time.Now()}
	w.g.ServeHTTP(tw, w.request("POST", "/v1/chat/completions", strings.NewReader(`{"model":"m"}`)))
	return tw
}

// A response is held until it has begun and no longer than the time for that;
// then the client has all that there is of it.
func TestHold(t *testing.T) {
	t.Parallel()
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	io.WriteString(z, first)
	z.Flush()
	long := "data: " + strings.Repeat("x", firstEvent-len("data: "))
	for name, tt := range map[string]struct {
		kind, encoding string
		length         int64
		parts          []any
		want           []string
	}{
		"an event": {"text/event-stream", "", -1, []any{"data: 1", time.Second, "\n\n", time.Minute, "data: 2\n\n"},
			[]string{"1s status", "1s data: 1\n\n", "1m1s data: 2\n\n"}},
		"an event with long ends of lines": {"text/event-stream", "", -1, []any{"data: 1\r\n\r", time.Second, "\n", time.Minute, "data: 2\r\n\r\n"},
			[]string{"1s status", "1s data: 1\r\n\r\n", "1m1s data: 2\r\n\r\n"}},
		"an event with short ends of lines": {"text/event-stream", "", -1, []any{"data: 1\r\r", time.Minute, "data: 2\r\r"},
			[]string{"0s status", "0s data: 1\r\r", "1m0s data: 2\r\r"}},
		"an event and a half": {"text/event-stream", "", -1, []any{"data: 1\n\ndata:", time.Minute, " 2\n\n"},
			[]string{"0s status", "0s data: 1\n\ndata:", "1m0s  2\n\n"}},
		"half an event": {"text/event-stream", "", -1, []any{"data:", time.Minute, " 1\n\n"},
			[]string{"10s status", "10s data:", "1m0s  1\n\n"}},
		"an event without end": {"text/event-stream", "", -1, []any{long, time.Minute, "\n\n"},
			[]string{"0s status", "0s " + long, "1m0s \n\n"}},
		"an event that is compressed": {"text/event-stream", "gzip", -1, []any{zipped.String(), time.Minute, "rest"},
			[]string{"0s status", "0s " + zipped.String(), "1m0s rest"}},
		"an event that is not compressed, it says": {"text/event-stream", "Identity", -1, []any{"data: 1", time.Second, "\n\n"},
			[]string{"1s status", "1s data: 1\n\n"}},
		"one that stands still, with a long wait": {"application/json", "", -1, []any{"\n", time.Minute, "\n", time.Minute, "{}"},
			[]string{"10s status", "10s \n", "1m0s \n", "2m0s {}"}},
		"one of known length that stands still": {"application/json", "", 4, []any{"{ ", time.Minute, " }"},
			[]string{"10s status", "10s { ", "1m0s  }"}},
		"one of known length that does not begin": {"text/plain", "", 4, []any{time.Minute, "text"},
			[]string{"10s status", "1m0s text"}},
		"all of one": {"application/json", "", -1, []any{"{", time.Second, "}"},
			[]string{"1s status", "1s {}"}},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, 1, func(t *testing.T, w *world) {
				w.let("a", func() (*http.Response, error) {
					resp := stream(tt.parts...)
					resp.Header.Set("Content-Type", tt.kind)
					resp.ContentLength = tt.length
					if tt.encoding != "" {
						resp.Header.Set("Content-Encoding", tt.encoding)
					}
					return resp, nil
				})
				require.Equal(t, tt.want, w.timed().got)
			})
		})
	}
}

// A client that leaves says nothing about the upstream, whether it has something of the answer
// or not, and what the request took up is given back.
func TestClientLeavesAnAnswer(t *testing.T) {
	t.Parallel()
	for name, parts := range map[string][]any{
		"held":       {time.Minute, first},
		"begun":      {first, time.Minute, final},
		"broken off": {first, time.Minute, io.ErrUnexpectedEOF},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, 1, func(t *testing.T, w *world) {
				w.let("a", streams(parts...))
				u := w.g.upstreams[0]
				u.health.failed(time.Now().Add(-time.Minute), time.Second, true)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				r := httptest.NewRequest("POST", "/v1/chat/completions", strings.NewReader("{}")).WithContext(ctx)
				r.Header.Set("X-Session-ID", "s")
				func() {
					defer func() { recover() }()
					w.g.ServeHTTP(httptest.NewRecorder(), r)
				}()
				stats := w.g.setup.Load().sel.Stats()
				require.EqualValues(t, 1, stats.Outcomes[affinity.Neutral], "%v", stats.Outcomes)
				for _, b := range w.g.setup.Load().sel.Cache().All() {
					require.Zero(t, b.Active)
				}
				require.Zero(t, u.health.used)
				require.Zero(t, w.g.status().Upstreams[0].Failures)
				<-time.After(time.Minute) // what the upstream does ends, too
			})
		})
	}
}

// Whenever the time to hold a response ends, nothing of it is lost or comes twice,
// and what came in pieces of any size is as it was.
func TestHoldLosesNothing(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 1000, 20_000, 32 << 10} {
		for _, hold := range []time.Duration{1, 5 * time.Millisecond, 50 * time.Millisecond, time.Second, time.Hour} {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 1, func(o *options) { o.hold = hold })
				var all strings.Builder
				w.let("a", func() (*http.Response, error) {
					var parts []any
					for i := range 20 {
						part := strings.Repeat(string(rune('a'+i)), size)
						all.WriteString(part)
						parts = append(parts, part, time.Duration(i)*time.Millisecond)
					}
					resp := stream(parts...)
					resp.Header.Set("Content-Type", "application/json")
					return resp, nil
				})
				got := w.timed().Body.String()
				require.True(t, all.String() == got, "%d bytes at a time, held for %v: %d of %d", size, hold, len(got), all.Len())
			})
		}
	}
}

package main

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity"
)

// What has no status that can be passed on is no answer.
func TestStatusThatIsNone(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		for _, status := range []int{99, 1000} { // over HTTP/1.1, and over HTTP/2
			home, _ := w.do(fmt.Sprint(status))
			w.let(home, refuses(status))
			_, got := w.do(fmt.Sprint(status))
			require.Equal(t, 200, got, status)
			w.letAll(refuses(status))
			_, got = w.do(fmt.Sprint(status))
			require.Equal(t, 502, got, status)
			w.letAll(nil)
			<-time.After(time.Minute)
		}
	})
}

// Why there was no answer is told as far as that is no quotation of what was received.
func TestCause(t *testing.T) {
	t.Parallel()
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	untrusted := &tls.CertificateVerificationError{Err: errors.New("expired")}
	_, malformed := http.ReadResponse(bufio.NewReader(strings.NewReader("HTTP/1.1 hunter2\r\n\r\n")), nil)
	require.ErrorContains(t, malformed, "hunter2")
	for _, tt := range []struct {
		err  error
		want string
	}{
		{errSilent, "no longer answers"},
		{errStalled, "takes no more of the request"},
		{errStatus, "its answer has an invalid status"},
		{refused, "dial tcp: connection refused"},
		{untrusted, untrusted.Error()},
		{io.EOF, "connection closed without an answer"},
		{fmt.Errorf("reading: %w", io.ErrUnexpectedEOF), "connection closed without an answer"},
		{malformed, fmt.Sprintf("no valid answer (%T)", malformed)},
	} {
		require.Equal(t, tt.want, cause(tt.err))
	}
}

// Who says in a response that too much was asked for.
func TestKindsOfLimits(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]bool{
		"rate_limit_error":   true, // Anthropic
		"RESOURCE_EXHAUSTED": true, // Google
		"overloaded_error":   false, "insufficient_quota": false, "": false,
		// OpenAI, whose type says what there was too much of
		"rate_limit_exceeded": true, "tokens": true, "requests": true,
	} {
		require.Equal(t, want, limits(kind), kind)
	}
}

// A stream that tells of an error is no answer, though its status is 200. What
// the client has had of it cannot be taken back; else another one answers.
func TestErrorInAStream(t *testing.T) {
	t.Parallel()
	for _, begun := range []bool{true, false} {
		r := newRig(t, 2)
		got := make(chan struct{})
		home := r.chat("s").Header.Get(targetHeader)
		r.backend(home).does(func(w http.ResponseWriter, req *http.Request) {
			io.Copy(io.Discard, req.Body)
			w.Header().Set("Content-Type", "text/event-stream")
			if begun {
				io.WriteString(w, "event: message_start\ndata: {}\n\n")
				w.(http.Flusher).Flush()
				<-got
			}
			io.WriteString(w, overloaded)
		})
		if begun {
			resp, err := r.client.Do(r.request("s"))
			require.NoError(t, err)
			close(got) // now that the client has the beginning
			text, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			require.NoError(t, err)
			require.Equal(t, home, resp.Header.Get(targetHeader))
			require.Contains(t, string(text), "overloaded_error", "as it came")
		} else {
			resp := r.chat("s")
			require.Equal(t, 200, resp.StatusCode)
			require.NotEqual(t, home, resp.Header.Get(targetHeader))
			require.NotContains(t, resp.text, "error")
		}
		require.EqualValues(t, 1, r.failures())
		require.NotEqual(t, home, r.chat("s").Header.Get(targetHeader))
	}
}

// So it is with one that is no stream, and with a stream that ends without a blank line.
func TestErrorInABody(t *testing.T) {
	for kind, text := range map[string]string{
		"application/json":  `{"error":{"message":"m","type":"server_error"}}`,
		"text/event-stream": `data: {"error":{"message":"m","type":"server_error"}}`,
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 2)
			home := r.chat("s").Header.Get(targetHeader)
			r.backend(home).does(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", kind)
				io.WriteString(w, text)
			})
			require.NotContains(t, r.chat("s").text, "error")
			require.EqualValues(t, 1, r.failures())
		})
	}
}

// What a stream says of the client's own credential leaves out the upstream for that client
// alone, and what it says of itself, for all.
func TestWhomAnErrorInAStreamConcerns(t *testing.T) {
	t.Parallel()
	for kind, one := range map[string]bool{"rate_limit_error": true, "authentication_error": true, "overloaded_error": false, "api_error": false} {
		r := newRig(t, 1)
		r.backends[0].streams(tells(kind))
		ask := func(key string) string { return r.do("POST", "/v1/messages", "{}", "X-Api-Key", key).text }
		require.Contains(t, ask("greedy"), kind)
		require.Equal(t, one, r.in() == 1, kind)
		require.EqualValues(t, 1, r.failures())
		if one {
			ask("greedy")
			require.EqualValues(t, 1, r.hits(), "it is not asked again")
			r.backends[0].streams("data: {}\n\n")
			require.Equal(t, "data: {}\n\n", ask("modest"))
		}
	}
}

// A stream that tells of an error which is the request's own fault says nothing about the
// upstream: not that it fails, nor that it has the prompt. No other one is asked.
func TestFaultyRequestInAStream(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	for _, b := range r.backends {
		b.streams(tells("invalid_request_error"))
	}
	require.Contains(t, r.chat("s").text, "invalid_request_error")
	r.settle()
	stats := r.g.setup.Load().sel.Stats()
	require.EqualValues(t, 1, stats.Outcomes[affinity.Neutral], "%v", stats.Outcomes)
	require.Equal(t, 2, r.in())
	require.EqualValues(t, 1, r.hits())
}

// A response that breaks off before the client has any of it is given by
// another upstream, and so is a stream that ends without an event.
func TestResponseThatNeverBegins(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"text/event-stream", "application/json", "text/event-stream; ends", "text/event-stream; of length 0"} {
		r := newRig(t, 2)
		home := r.chat("s").Header.Get(targetHeader)
		r.backend(home).does(func(w http.ResponseWriter, req *http.Request) {
			io.Copy(io.Discard, req.Body)
			w.Header().Set("Content-Type", kind)
			if strings.HasSuffix(kind, "of length 0") {
				return
			}
			w.(http.Flusher).Flush()
			if !strings.HasSuffix(kind, "ends") {
				panic(http.ErrAbortHandler)
			}
		})
		resp := r.chat("s")
		require.Equal(t, 200, resp.StatusCode)
		require.NotEqual(t, home, resp.Header.Get(targetHeader))
		require.EqualValues(t, 1, r.failures())
	}

	// What is only looked at is no different.
	r := newRig(t, 2)
	home := r.chat("s").Header.Get(targetHeader)
	r.backend(home).does(func(w http.ResponseWriter, req *http.Request) {
		w.(http.Flusher).Flush()
		<-time.After(200 * time.Millisecond) // time enough for the client to get that
		panic(http.ErrAbortHandler)
	})
	resp := r.do("GET", "/v1/models", "", "X-Session-ID", "s")
	require.Equal(t, 200, resp.StatusCode)
	require.NotEqual(t, home, resp.Header.Get(targetHeader))
	require.EqualValues(t, 1, r.failures())
}

// What is left of a response that failed is read for nobody, and not for the
// attempt after it. Run with -race.
func TestLearnFromFailures(t *testing.T) {
	t.Parallel()
	r := newRig(t, 4)
	for _, b := range r.backends {
		b.does(func(w http.ResponseWriter, req *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, "data: {\"type\":\"response.failed\",\"response\":{\"id\":\"resp_0\",\"error\":{\"code\":\"server_error\"}}}\n\n")
			w.(http.Flusher).Flush()
			for i := range 50 {
				fmt.Fprintf(w, "data: {\"type\":\"response.created\",\"response\":{\"id\":\"resp_%s_%d\",\"object\":\"response\"}}\n\n", b.name, i)
				w.(http.Flusher).Flush()
			}
		})
	}
	for i := range 3 {
		r.do("POST", "/v1/responses", `{"model":"m","stream":true}`, "X-Session-ID", fmt.Sprint(i))
	}
}

// An upstream that breaks off in mid-stream is left out; the client sees that
// the stream is broken, and the session goes on elsewhere.
func TestUpstreamDiesInMidStream(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	home := r.chat("s").Header.Get(targetHeader)
	r.backend(home).does(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "data: half\n\n")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	resp, err := r.try("POST", "/v1/messages", strings.NewReader(`{}`), "X-Session-ID", "s")
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.Equal(t, "data: half\n\n", resp.text)
	require.Equal(t, 1, r.in())
	require.EqualValues(t, 1, r.failures())
	require.EqualValues(t, 2, r.hits(), "not sent again: the client has had some of it")
	require.EqualValues(t, 1, r.g.setup.Load().sel.Stats().Outcomes[affinity.TransientFailure])
	require.NotEqual(t, home, r.chat("s").Header.Get(targetHeader))
}

// An error of nothing but nulls is none.
func TestNullErrors(t *testing.T) {
	for _, e := range []string{`null`, `{}`, `{"code":null,"message":null,"param":null}`} {
		t.Run(e, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 3)
			r.all(func(w http.ResponseWriter, req *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				io.WriteString(w, `{"object":"fine_tuning.job","id":"ftjob-1","status":"validating_files","error":`+e+`}`)
			})
			resp := r.do("POST", "/v1/fine_tuning/jobs", `{"model":"m","training_file":"file-1"}`)
			require.Equal(t, 200, resp.StatusCode)
			require.EqualValues(t, 1, r.hits())
			require.Zero(t, r.failures())
		})
	}
}

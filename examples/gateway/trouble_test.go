package main

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/extract"
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
		require.Equal(t, want, tooMuch(kind), kind)
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

// What refuses a model for now is there for all others, and where the credential is the
// client's, for all other clients.
func TestLimits(t *testing.T) {
	t.Parallel()
	for _, own := range []bool{false, true} {
		for _, after := range []string{"30", ""} {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 2, keyed(map[bool]string{true: "k"}[own]))
				ask := func(client, model string) (target string) {
					w.model = model
					target, status := w.do(model, "Authorization", "Bearer "+client)
					require.Equal(t, 200, status)
					return target
				}
				home := ask("one", "m")
				ask("one", "other")
				ask("two", "m")
				w.g.setup.Load().sel.Cache().MoveFunc(home, func(affinity.Key, affinity.Binding) bool { return true })
				if after != "" {
					w.let(home, refuses(429, "Retry-After", after))
				} else {
					w.let(home, refuses(429))
				}
				require.NotEqual(t, home, ask("one", "m"))
				w.let(home, nil)
				state := w.g.status().Upstreams[home[0]-'a']
				require.Equal(t, map[bool]string{true: "out", false: "limited"}[own && after == ""], state.State)
				require.Equal(t, state.State == "limited", state.Available)
				require.NotEqual(t, home, ask("one", "m"))
				require.Equal(t, own, ask("two", "m") != home, "the limit is that of all clients, or of one: %q", after)
				require.Equal(t, own && after == "", ask("one", "other") != home, "it may be a quota of everything: %v %q", own, after)
			})
		}
	}
}

// Where two upstreams each refuse the model that the other serves, there is one for both.
func TestLimitsOfTwoModels(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		serves := map[string]string{"a": "m0", "b": "m1"}
		refused := 0
		for _, u := range w.g.upstreams {
			w.let(u.name, func() (*http.Response, error) {
				if w.model == serves[u.name] {
					return stream(first, final), nil
				}
				refused++
				return refuses(429, "Retry-After", "60")()
			})
		}
		for i := range 20 {
			w.model = fmt.Sprint("m", i%2)
			target, status := w.do(fmt.Sprint("s", i))
			require.Equal(t, 200, status)
			require.Equal(t, w.model, serves[target])
		}
		require.LessOrEqual(t, refused, 2, "once each")
	}, func(o *options) { o.patience = 0 })
}

// The model is what a body says that it is for, and nothing else that is in it.
func TestModel(t *testing.T) {
	t.Parallel()
	long := strings.Repeat(`"x",`, 10_000)
	for body, want := range map[string]string{
		`{"model" : ` + "\n" + `"org/m:free","messages":[` + long + `"model"]}`:                              "org/m:free",
		`{"metadata":{"model":"x"},"model":"m"}`:                                                             "m",
		`{"messages":[{"role":"model"},{"properties":{"model":{}}}],"text":"{\"model\":\"x\"}","model":"m"}`: "m",
		`{"x":[` + long + `""],"model":"m","y":[` + long + `{"model":"x"}]}`:                                 "m",
		`{"model":7}`:     "",
		`{"role":"model"`: "",
		``:                "",
	} {
		x := &exchange{req: &extract.Request{Body: []byte(body)}}
		require.Equal(t, want, x.model(), "%.50s", body)
	}
}

// No request counts against the limit of another path, model or client, or of all.
func TestLimitAt(t *testing.T) {
	t.Parallel()
	seen := map[uint64]bool{0: true}
	for _, path := range []string{"/v1/messages", "/v1/messages/count_tokens"} {
		for _, model := range []string{"x", "y", ""} {
			keyed := map[uint64]bool{}
			for _, who := range []string{"x", "y"} {
				req := &extract.Request{Path: path, Body: []byte(`{"model":"` + model + `"}`), Header: http.Header{"X-Api-Key": {who}}}
				x := &exchange{req: req}
				require.True(t, x.pays(&upstream{}))
				require.False(t, x.pays(&upstream{key: "k"}))
				limit := x.limitAt(&upstream{})
				require.False(t, seen[limit], "%s %q %s", path, model, who)
				seen[limit] = true
				keyed[x.limitAt(&upstream{key: "k"})] = true
			}
			require.Len(t, keyed, 1)
			for limit := range keyed {
				require.False(t, seen[limit])
				seen[limit] = true
			}
		}
	}
	require.False(t, (&exchange{req: &extract.Request{}}).pays(&upstream{}), "who shows no credential has no account")
}

// A session whose first request fails where it was placed was never there, so it stays where it
// is served.
func TestFirstRequestFails(t *testing.T) {
	for why, does := range map[string]func() (*http.Response, error){
		"refused": refuses(503), "broken": fails(io.EOF), "told": streams(overloaded),
	} {
		t.Run(why, func(t *testing.T) {
			inWorld(t, 2, func(t *testing.T, w *world) {
				w.let("a", does)
				for range 2 {
					for i := range 20 {
						target, status := w.do(fmt.Sprint("s", i))
						require.Equal(t, 200, status)
						require.Equal(t, "b", target)
						<-time.After(10 * time.Second) // a is tried again
					}
					require.NotZero(t, w.hits["a"])
					w.let("a", nil)
					<-time.After(10 * time.Minute)
				}
			})
		})
	}
}

// One whose first answer broke off in the middle was there, and goes back to its prompt.
func TestFirstAnswerBreaksOff(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		w.let("a", streams(first, errors.New("gone")))
		for i := range 20 {
			s, before := fmt.Sprint("s", i), w.hits["a"]
			w.do(s)
			<-time.After(time.Minute)
			if w.hits["a"] > before {
				w.let("a", nil)
				<-time.After(time.Minute)
				target, _ := w.do(s)
				require.Equal(t, "a", target)
				return
			}
		}
		t.Fatal("none came to a")
	})
}

func TestReasons(t *testing.T) {
	t.Parallel()
	var homes, chosen []affinity.Reason
	for r := affinity.ReasonNoSession; r <= affinity.ReasonSideCall; r++ {
		if newHome(r) {
			homes = append(homes, r)
		}
		if placed(r) {
			chosen = append(chosen, r)
		}
	}
	require.ElementsMatch(t, []affinity.Reason{affinity.ReasonNew, affinity.ReasonExpired, affinity.ReasonOverload}, homes)
	require.ElementsMatch(t, append(homes, affinity.ReasonNoSession, affinity.ReasonFailover, affinity.ReasonSideCall), chosen)
}

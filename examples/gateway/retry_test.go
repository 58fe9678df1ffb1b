package main

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestFailoverTriesOnceMore(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(*backend){
		"429":               func(b *backend) { b.answers(429) },
		"500":               func(b *backend) { b.answers(500) },
		"529":               func(b *backend) { b.answers(529) },
		"connection broken": func(b *backend) { b.does(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }) },
		"nobody there":      func(b *backend) { b.dies() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 3)
			r.echoes()
			home := r.chat("s").Header.Get(targetHeader)
			fail(r.backend(home))
			body := `{"model":"m","text":"` + strings.Repeat("x", 100_000) + `"}`
			moved := r.do("POST", "/v1/chat/completions", body, "X-Session-ID", "s")
			require.Equal(t, 200, moved.StatusCode)
			require.True(t, body == moved.text, "the body was sent again, whole")
			require.NotEqual(t, home, moved.Header.Get(targetHeader))
			require.Equal(t, "failover", moved.Header.Get(reasonHeader))

			// It stays where it went, and the first one is left alone.
			hits := r.backend(home).hits.Load()
			again := r.chat("s")
			require.Equal(t, moved.Header.Get(targetHeader), again.Header.Get(targetHeader))
			require.Equal(t, "bound", again.Header.Get(reasonHeader))
			for i := range 10 {
				require.NotEqual(t, home, r.chat(fmt.Sprint("other-", i)).Header.Get(targetHeader))
			}
			require.Equal(t, hits, r.backend(home).hits.Load())
			require.EqualValues(t, 1, r.failures())
			require.Contains(t, r.log.String(), "upstream out")
		})
	}
}

// An upstream that fails under load loses no request, and its sessions are each
// together again afterwards.
func TestFailoverUnderLoad(t *testing.T) {
	t.Parallel()
	r := newRig(t, 4)
	const sessions, turns = 16, 8
	for i := range sessions {
		r.chat(fmt.Sprint("s", i))
	}
	var wg sync.WaitGroup
	for i := range sessions * turns {
		if i == sessions {
			r.backends[0].answers(500)
		}
		wg.Go(func() {
			resp, err := r.try("POST", "/v1/messages", strings.NewReader(`{}`), "X-Session-ID", fmt.Sprint("s", i%sessions))
			if err != nil || resp.StatusCode != 200 {
				t.Error("lost:", err)
			}
		})
	}
	wg.Wait()
	for i := range sessions {
		resp := r.chat(fmt.Sprint("s", i))
		require.Equal(t, "bound", resp.Header.Get(reasonHeader))
		require.NotEqual(t, "a", resp.Header.Get(targetHeader))
	}
	require.Equal(t, 1, strings.Count(r.log.String(), `level=WARN msg="upstream out"`), "told once")
}

// A request is lost only if nobody can serve it.
func TestEveryUpstreamIsTried(t *testing.T) {
	t.Parallel()
	r := newRig(t, 4)
	for _, b := range r.backends {
		b.does(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(503)
			fmt.Fprintf(w, "%s, number %d", b.name, r.hits())
		})
	}
	resp := r.chat("s")
	require.Equal(t, 503, resp.StatusCode)
	require.Equal(t, resp.Header.Get(targetHeader)+", number 4", resp.text, "the answer of the last one, as it is")
	require.EqualValues(t, 4, r.hits())
	for _, b := range r.backends {
		require.EqualValues(t, 1, b.hits.Load(), "once each")
	}

	r = newRig(t, 4)
	for _, b := range r.backends[:3] {
		b.answers(500)
	}
	for i := range 20 {
		resp := r.chat(fmt.Sprint("s", i))
		require.Equal(t, 200, resp.StatusCode)
		require.Equal(t, "d", resp.Header.Get(targetHeader))
	}
}

// The second one cannot even be reached: the answer of the first is better than none,
// as it may say when to come back.
func TestRetryIsNotAnswered(t *testing.T) {
	t.Parallel()
	for _, status := range []int{429, 500} {
		r := newRig(t, 2)
		home := r.chat("s").Header.Get(targetHeader)
		for _, b := range r.backends {
			if b.answers(status, "Retry-After", "7"); b.name != home {
				b.dies()
			}
		}
		resp := r.chat("s")
		require.Equal(t, status, resp.StatusCode)
		require.Equal(t, "7", resp.Header.Get("Retry-After"))
		require.Equal(t, "status of "+home, resp.text, "whole")
		require.Equal(t, home, resp.Header.Get(targetHeader))
		require.Contains(t, r.log.String(), fmt.Sprint("status=", status, " took="))
		require.Contains(t, r.log.String(), "attempts=2 target="+home)
	}

	// Unless it is not whole: then it is none.
	r := newRig(t, 2)
	home := r.chat("s").Header.Get(targetHeader)
	for _, b := range r.backends {
		if b.name != home {
			b.dies()
			continue
		}
		b.does(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "200")
			w.WriteHeader(503)
			w.Write(make([]byte, 100))
			http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		})
	}
	require.Equal(t, 502, r.chat("s").StatusCode)
}

func TestNoRetryOfWhatTheClientDidWrong(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	for i, status := range []int{400, 404, 409, 413, 422} {
		r.answer(status)
		require.Equal(t, status, r.chat(fmt.Sprint("s", status)).StatusCode)
		require.EqualValues(t, i+1, r.hits())
	}
	require.Equal(t, 2, r.in())
}

// A credential that one upstream denies is good if another takes it, and then
// that one is asked no more. If two deny it, it is no good.
func TestDeniedCredential(t *testing.T) {
	t.Parallel()
	for _, status := range []int{401, 402, 403} {
		r := newRig(t, 1, func(o *options) { o.patience = time.Minute })
		r.backends[0].answers(status)
		require.Equal(t, status, r.chat("s").StatusCode)
		require.EqualValues(t, 1, r.hits())

		r = newRig(t, 3)
		home := r.chat("s").Header.Get(targetHeader)
		r.backend(home).answers(status)
		moved := r.chat("s")
		require.Equal(t, 200, moved.StatusCode)
		hits := r.backend(home).hits.Load()
		for i := range 5 {
			again := r.chat("s")
			require.Equal(t, 200, again.StatusCode)
			require.Equal(t, moved.Header.Get(targetHeader), again.Header.Get(targetHeader))
			require.NotEqual(t, home, r.chat(fmt.Sprint("new-", i)).Header.Get(targetHeader))
		}
		require.Equal(t, hits, r.backend(home).hits.Load())
		require.Equal(t, 1, strings.Count(r.log.String(), "denies a credential that others accept"))
		require.Equal(t, 3, r.in(), "for others")

		r = newRig(t, 3)
		r.answer(status)
		for i := range 5 {
			require.Equal(t, status, r.chat(fmt.Sprint("s", i)).StatusCode)
			require.EqualValues(t, 2*(i+1), r.hits())
		}
		require.Zero(t, r.failures())
		require.Equal(t, 3, r.in())
	}
}

// A body that is too large to keep is sent again only if nothing of it is gone.
func TestRetryOfLargeBodies(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3, func(o *options) { o.bodyLimit = 1000 })
	r.echoes()
	body := strings.Repeat("large", 100_000)
	home := r.do("POST", "/x", body, "X-Session-ID", "s").Header.Get(targetHeader)
	r.backend(home).dies()
	resp := r.do("POST", "/x", body, "X-Session-ID", "s")
	require.Equal(t, 200, resp.StatusCode)
	require.True(t, body == resp.text)

	second := resp.Header.Get(targetHeader)
	require.NotEqual(t, home, second)

	// Who has not asked for it has not got any of it.
	r.backend(second).answers(429)
	resp = r.do("POST", "/x", body, "X-Session-ID", "s", "Expect", "100-continue")
	require.Equal(t, 200, resp.StatusCode)
	require.True(t, body == resp.text)
	second = resp.Header.Get(targetHeader)
	hits := r.hits()
	r.backend(second).does(func(w http.ResponseWriter, req *http.Request) {
		io.Copy(io.Discard, req.Body)
		w.WriteHeader(500)
	})
	require.Equal(t, 500, r.do("POST", "/x", body, "X-Session-ID", "s").StatusCode)
	require.Equal(t, hits+1, r.hits())

	for status, want := range map[int]int{401: 401, 200: 502} {
		r = newRig(t, 2, func(o *options) { o.bodyLimit = 1000 })
		r.all(func(w http.ResponseWriter, req *http.Request) {
			io.Copy(io.Discard, req.Body)
			w.WriteHeader(status)
			if status == 200 {
				w.(http.Flusher).Flush()
				panic(http.ErrAbortHandler)
			}
		})
		resp, err := r.try("POST", "/x", io.MultiReader(strings.NewReader(body))) // of no known length
		require.NoError(t, err)
		require.Equal(t, want, resp.StatusCode)
		require.EqualValues(t, 1, r.hits())
	}
}

func TestNothingLeft(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.answer(429, "Retry-After", "7")
	require.Equal(t, 429, r.chat("s").StatusCode, "the last answer that there was")
	resp := r.chat("s")
	require.Equal(t, 503, resp.StatusCode)
	require.Contains(t, []string{"6", "7"}, resp.Header.Get("Retry-After"))
	require.Equal(t, "application/json", resp.Header.Get("Content-Type"))
	require.JSONEq(t, `{"error":{"type":"no_upstream_available","message":"all upstreams are out for now: try again later"}}`, resp.text)
	require.EqualValues(t, 2, r.hits())

	r = newRig(t, 1)
	r.backends[0].dies()
	resp = r.chat("s")
	require.Equal(t, 502, resp.StatusCode)
	require.JSONEq(t, `{"error":{"type":"upstream_failed","message":"the upstream could not be reached, or closed the connection without an answer: try again"}}`, resp.text)
}

func TestUpstreamComesBack(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	r.backends[0].answers(529, "Retry-After", "60")
	only := r.chat("s") // the answer of the only one is better than none
	require.Equal(t, 529, only.StatusCode)
	require.Equal(t, "status of a", only.text)
	require.Equal(t, "a", only.Header.Get(targetHeader))
	require.Equal(t, "60", only.Header.Get("Retry-After"))
	require.Equal(t, 503, r.chat("s").StatusCode)
	r.backends[0].answers(200)
	r.timePasses()
	require.Equal(t, 200, r.chat("s").StatusCode)
	require.Equal(t, 200, r.chat("s").StatusCode)
	require.Equal(t, 1, strings.Count(r.log.String(), "upstream back"))
}

// A request that the upstreams' own keys do not open is tried once with each. That they are
// denied is not the client's to hear, who would take its own for a bad one. Nor is what the
// upstream says then, which may quote the key.
func TestOwnKeysAreDenied(t *testing.T) {
	for _, status := range []int{401, 402, 403} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			own := keyed("secret")
			denies := func(w http.ResponseWriter, req *http.Request) {
				w.Header().Set("Www-Authenticate", "Bearer")
				w.WriteHeader(status)
				io.WriteString(w, req.Header.Get("Authorization"))
			}
			r := newRig(t, 3, own, func(o *options) { o.patience = time.Minute })
			r.all(denies)
			resp := r.chat("s")
			require.Equal(t, 502, resp.StatusCode)
			require.Contains(t, resp.text, "upstream_denied")
			require.NotContains(t, resp.text, "secret")
			require.Equal(t, map[bool]int{true: 3, false: 2}[status == 403], r.in(), "it may be what is asked for")
			require.Empty(t, resp.Header["Www-Authenticate"])
			require.EqualValues(t, 3, r.hits())
			require.Contains(t, r.log.String(), fmt.Sprintf("level=WARN msg=\"%s\"", map[bool]string{true: "request failed", false: "upstream out"}[status == 403]))

			// What another one says is told rather than that, whoever is asked first.
			for _, busy := range []string{"a", "b"} {
				r = newRig(t, 2, own)
				r.all(denies)
				r.backend(busy).answers(429, "Retry-After", "60")
				resp = r.chat("s")
				require.Equal(t, 429, resp.StatusCode)
				require.Equal(t, busy, resp.Header.Get(targetHeader))
				require.Equal(t, "status of "+busy, resp.text)
			}

			// So it is where the body cannot be sent again.
			r = newRig(t, 2, own, func(o *options) { o.bodyLimit = 10 })
			r.all(denies)
			require.Equal(t, 502, r.do("POST", "/x", strings.Repeat("large", 10_000)).StatusCode)
		})
	}
}

// Gemini has another status for a key that is no good. What else it says of a request by that
// goes to the client, as does what it says of the client's own key.
func TestGeminiDeniesAnOwnKey(t *testing.T) {
	t.Parallel()
	const denial = `{"error":{"code":400,"message":"API key not valid.","status":"INVALID_ARGUMENT","details":[{"reason":"API_KEY_INVALID"}]}}`
	for name, tt := range map[string]struct {
		key, says string
		want      int
	}{
		"its own":          {"secret", denial, 200},
		"the client's":     {"", denial, 400},
		"a quotation":      {"secret", `{"error":{"message":"what is \"API_KEY_INVALID\"?"}}`, 400},
		"behind much else": {"secret", strings.Repeat(" ", maxKept) + denial, 400},
	} {
		r := newRig(t, 2, keyed(tt.key))
		home := r.chat("s").Header.Get(targetHeader)
		r.backend(home).does(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(400)
			io.WriteString(w, tt.says)
		})
		resp := r.chat("s")
		require.Equal(t, tt.want, resp.StatusCode, name)
		require.Equal(t, tt.want == 400, resp.text == tt.says, name)
		require.Equal(t, map[int]int{200: 1, 400: 2}[tt.want], r.in(), name)
	}
}

// An answer of 400 that takes its time is the client's all the same, though it might have been a
// denial of the upstream's own key.
func TestSlowBadRequest(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.let("a", func() (*http.Response, error) {
			from, to := io.Pipe()
			go func() {
				defer to.Close()
				io.WriteString(to, "{")
				<-time.After(2 * keptSoon)
				io.WriteString(to, "}")
			}()
			return &http.Response{StatusCode: http.StatusBadRequest, Header: http.Header{}, ContentLength: -1, Body: from}, nil
		})
		rec := w.ask("POST", "/v1beta/models/m:generateContent", "{}")
		require.Equal(t, http.StatusBadRequest, rec.Code)
		require.Equal(t, "{}", rec.Body.String())
		require.Zero(t, w.g.status().Upstreams[0].Failures)
	}, func(o *options) { o.upstreams[0].key = "k" })
}

// Each attempt is sent to the path of its own upstream, wherever the one before was sent.
func TestPathsOfAttempts(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		var paths []string
		w.g.send = rtFunc(func(r *http.Request) (*http.Response, error) {
			paths = append(paths, r.URL.Path)
			return w.RoundTrip(r)
		})
		w.letAll(refuses(503))
		w.ask("POST", "/v1/messages", "{}")
		require.ElementsMatch(t, []string{"/of-a/v1/messages", "/of-b/v1/messages"}, paths)
	}, func(o *options) {
		o.patience = 0
		for _, u := range o.upstreams {
			u.url.Path = "/of-" + u.name
		}
	})
}

// What the only key that is left does not open is tried once, and waits for another
// upstream that comes back in time, whether this request or one before has found it out.
func TestTheLastKeyIsDenied(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		refuses func() (*http.Response, error)
		back    bool
	}{
		"it says that it takes long": {refuses(429, "Retry-After", "60"), false},
		"it says that it does not":   {refuses(429, "Retry-After", "5"), true},
		"it does not say":            {refuses(503), true},
	} {
		for _, before := range []bool{false, true} {
			for _, denies := range []int{401, 403} {
				t.Run(fmt.Sprint(name, before, denies), func(t *testing.T) {
					inWorld(t, 2, func(t *testing.T, w *world) {
						w.let("b", tt.refuses)
						for i := range 8 {
							if before {
								w.do(fmt.Sprint("s", i)) // until b is out
							}
						}
						w.let("a", refuses(denies))
						if tt.back {
							since := time.Now()
							w.let("b", func() (*http.Response, error) {
								if time.Since(since) < 4*time.Second {
									return tt.refuses()
								}
								return serves(0)()
							})
						}
						hits := w.hits["a"]
						_, status := w.do("s")
						require.Equal(t, tt.back, status == 200)
						require.LessOrEqual(t, w.hits["a"], hits+1)
					}, keyed("k"), func(o *options) { o.patience = 20 * time.Second })
				})
			}
		}
	}
}

// A client whose credential is denied need not wait to be told so, nor is it denied twice, if
// nobody else can be asked.
func TestDeniedWithNobodyElse(t *testing.T) {
	t.Parallel()
	for name, does := range map[string]func() (*http.Response, error){
		"the other's own key is denied": refuses(401),
		"the other is out":              refuses(429, "Retry-After", "5"),
		"the other is not there":        fails(io.EOF),
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, 2, func(t *testing.T, w *world) {
				w.let("a", does)
				for i := range 4 {
					w.do(fmt.Sprint("s", i), "Authorization", "Bearer c") // until a is out
				}
				w.let("b", refuses(401))
				for i := range 4 {
					start, before := time.Now(), maps.Clone(w.hits)
					_, status := w.do(fmt.Sprint("t", i), "Authorization", "Bearer c")
					require.Equal(t, 401, status)
					require.Zero(t, time.Since(start))
					require.LessOrEqual(t, w.hits["a"], before["a"]+1)
					require.Equal(t, before["b"]+1, w.hits["b"])
				}
			}, func(o *options) {
				o.patience = 20 * time.Second
				o.upstreams[0].key = "k"
			})
		})
	}
}

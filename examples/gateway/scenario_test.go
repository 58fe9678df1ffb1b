package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/extract"
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

// When all have asked to be left alone, a request waits for the first of them if
// that is soon enough, and else is told when to come again.
func TestWaitsForTheSoonest(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		for after, want := range map[string]int{"5": 200, "60": 429} {
			start := time.Now()
			w.letAll(func() (*http.Response, error) {
				if time.Since(start) < 4*time.Second {
					return refuses(429, "Retry-After", after)()
				}
				return serves(0)()
			})
			_, got := w.do("s" + after)
			require.Equal(t, want, got, after)
			if want == 429 {
				_, got = w.do("t")
				require.Equal(t, 503, got)
			}
			<-time.After(2 * time.Minute)
		}
	})
}

// So does a request that comes when they already have, unless its client leaves.
func TestWaitsWhileAllAreOut(t *testing.T) {
	t.Parallel()
	for _, leaves := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 2)
			start := time.Now()
			w.g.upstreams[0].health.failed(start, 8*time.Second, true)
			w.g.upstreams[1].health.failed(start, 5*time.Second, true)
			if leaves {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				r := httptest.NewRequest("POST", "/v1/chat/completions", strings.NewReader("{}"))
				require.PanicsWithValue(t, http.ErrAbortHandler, func() {
					w.g.ServeHTTP(httptest.NewRecorder(), r.WithContext(ctx))
				})
				require.Equal(t, time.Second, time.Since(start))
				require.Empty(t, w.hits)
				return
			}
			var asked time.Duration
			w.let("b", func() (*http.Response, error) {
				asked = time.Since(start)
				return serves(0)()
			})
			target, status := w.do("s")
			require.Equal(t, 200, status)
			require.Equal(t, "b", target)
			require.Greater(t, asked, 5*time.Second, "not with all others that wait")
			require.Less(t, asked, 6*time.Second)
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

// A new configuration takes over the sessions, and what is known of the upstreams
// that stay.
func TestReload(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "upstreams")
		write := func(text string) { require.NoError(t, os.WriteFile(file, []byte(text), 0o600)) }
		write("# ours\na=http://a\n\nb=http://b\n")
		upstreams, err := readUpstreams(file, nil)
		require.NoError(t, err)
		w := newWorld(t, 0, func(o *options) { o.file, o.upstreams = file, upstreams })
		homes := map[string]string{}
		for i := range 40 {
			s := fmt.Sprint("s", i)
			homes[s], _ = w.do(s)
		}
		kept := w.g.setup.Load().find("a")
		write("a=http://a\nb=http://b\nc=http://c\n")
		require.NoError(t, w.g.reload())
		require.Same(t, kept, w.g.setup.Load().find("a"))
		for s, home := range homes {
			target, _ := w.do(s)
			require.Equal(t, home, target)
		}
		for i := range 40 {
			w.do(fmt.Sprint("new-", i))
		}
		require.NotZero(t, w.hits["c"])
		write("a=http://a\na=http://b\n")
		require.ErrorContains(t, w.g.reload(), "two upstreams")
		require.Len(t, w.g.setup.Load().upstreams, 3, "as it was")
		write("a=http://a/elsewhere\nb=http://b\n")
		require.NoError(t, w.g.reload())
		require.Equal(t, "http://a/elsewhere", w.g.setup.Load().find("a").url.String())
		require.Nil(t, w.g.setup.Load().find("c"))

		for i := range 20 { // pods of random names
			write(fmt.Sprintf("a=http://a\npod-%d=http://pod\n", i))
			require.NoError(t, w.g.reload())
			for n := range 3 {
				w.do(fmt.Sprint("at-", i, "-", n))
			}
		}
		require.LessOrEqual(t, len(w.g.counters.at), 3, "those that have gone are forgotten")
		require.Greater(t, w.g.counters.at["a"].Requests, int64(40), "but not those that stay")
	})
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

// When one comes back while all others are out, those are tried too, but not one that has asked
// to be left alone.
func TestComeBackTogether(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	for _, others := range []int{2, 3} { // the last one is not out
		s := &setup{}
		for range 4 {
			s.upstreams = append(s.upstreams, &upstream{})
		}
		s.upstreams[1].health.failed(now, time.Minute, false)
		s.upstreams[2].health.failed(now, time.Minute, true)
		s.upstreams = s.upstreams[:1+others]
		s.comeBack(s.upstreams[0], now)
		standing, _, _ := s.upstreams[1].health.admit(now, 0, false)
		require.Equal(t, others == 2, standing == fit)
		standing, _, _ = s.upstreams[2].health.admit(now, 0, false)
		require.Equal(t, refusing, standing)
	}
}

// A key that is in a file can be changed while the gateway runs.
func TestReloadOfKeys(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "key")
	write := func(key string) { require.NoError(t, os.WriteFile(file, []byte(key), 0o600)) }
	r := newRig(t, 1, func(o *options) {
		write("old\n")
		o.fixed = []string{"a=" + o.upstreams[0].url.String() + ",key-file=" + file}
		var err error
		o.upstreams, err = readUpstreams("", o.fixed)
		require.NoError(t, err)
	})
	r.backends[0].does(func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Authorization") != "Bearer new" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	require.Equal(t, 502, r.chat("s").StatusCode)
	write("")
	require.ErrorContains(t, r.g.reload(), "holds no credential")
	write("new")
	require.NoError(t, r.g.reload())
	require.Equal(t, 200, r.chat("s").StatusCode, "nor is it out for what the old one was")

	require.ErrorContains(t, newRig(t, 1).g.reload(), "there is no file to read")
}

// Requests that take long anywhere are not sent from one upstream to the next for
// that, whether they come alone or together, and however large they are.
func TestLongAnswers(t *testing.T) {
	t.Parallel()
	const usual = 500 * time.Millisecond
	for _, n := range []int{1, 3, 6} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 4)
			var attempts atomic.Int32
			takes := usual
			w.g.send = rtFunc(func(r *http.Request) (*http.Response, error) {
				attempts.Add(1)
				take(r)
				select {
				case <-time.After(takes):
				case <-r.Context().Done():
					return nil, r.Context().Err() // as package http has it for HTTP/2
				}
				resp := stream(first, final)
				resp.Request = r
				return resp, nil
			})
			for i := range 60 {
				w.do(fmt.Sprint("s", i%12))
			}
			<-time.After(time.Minute)
			takes = 90 * time.Second
			attempts.Store(0)
			codes := make(chan int)
			for range n {
				go func() {
					_, status := w.do("s1")
					codes <- status
				}()
			}
			for range n {
				require.Equal(t, 200, <-codes)
			}
			require.LessOrEqual(t, attempts.Load(), int32(2*n))
		})
	}
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

// A wait in which nothing was tried is no round, whoever had been denied before.
func TestWaitThatIsNoRound(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		denied := w.g.upstreams[:1]
		w.g.upstreams[1].health.failed(time.Now(), time.Second, true)
		x := &exchange{setup: w.g.setup.Load(), req: &extract.Request{}, patience: time.Minute, tried: denied, denied: denied, blamed: true, rounds: 1}
		require.NoError(t, w.g.choose(t.Context(), x))
		require.Equal(t, "b", x.choice.ID)
		require.Equal(t, 1, x.rounds)
	})
}

// How long a body takes to come from the client says nothing about the upstream.
func TestLongUploads(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		w.g.send = rtFunc(func(r *http.Request) (*http.Response, error) {
			if r.Body != nil {
				if _, err := io.Copy(io.Discard, r.Body); err != nil {
					return nil, err
				}
			}
			if err := context.Cause(r.Context()); err != nil {
				return nil, err
			}
			resp := stream(first, final)
			resp.Request = r
			return resp, nil
		})
		for i := range 40 {
			w.do(fmt.Sprint("s", i))
		}
		for _, u := range w.g.upstreams {
			u.paces[whole].set(100*time.Millisecond, paceFirm)
		}
		codes := make(chan int)
		for range 16 {
			go func() {
				rec := httptest.NewRecorder()
				w.g.ServeHTTP(rec, w.request("POST", "/v1/files", slowly(60, 500*time.Millisecond), "X-Session-ID", "uploader"))
				codes <- rec.Code
			}()
		}
		for range 16 {
			require.Equal(t, 200, <-codes)
		}
		for _, u := range w.g.status().Upstreams {
			require.Equal(t, "in", u.State)
		}
	}, func(o *options) { o.bodyLimit = 1 << 10 })
}

// slowly is a body of so many kilobytes that takes its time for each.
func slowly(n int, each time.Duration) io.Reader {
	return readFunc(func(p []byte) (int, error) {
		if n--; n < 0 {
			return 0, io.EOF
		}
		<-time.After(each)
		return copy(p, make([]byte, 1<<10)), nil
	})
}

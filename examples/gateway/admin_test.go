package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity"
)

func TestAdmin(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	admin := httptest.NewServer(r.g.admin())
	defer admin.Close()
	do := func(want int, method, path string) string {
		req, err := http.NewRequest(method, admin.URL+path, nil)
		require.NoError(t, err)
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.Equal(t, want, resp.StatusCode, method+" "+path)
		if want == 200 {
			kind := map[bool]string{true: "text/plain; charset=utf-8", false: "application/json"}[path == "/"]
			require.Equal(t, kind, resp.Header.Get("Content-Type"), path)
		}
		return string(b)
	}
	read := func() (s status) {
		require.NoError(t, json.Unmarshal([]byte(do(200, "GET", "/status")), &s))
		var selections, requests int64
		for _, n := range s.Reasons {
			selections += n
		}
		for _, u := range s.Upstreams {
			requests += u.Requests
		}
		require.Equal(t, s.Selections, selections)
		require.Equal(t, s.Selections, requests)
		return s
	}
	require.Contains(t, do(409, "POST", "/reload"), "there is no file to read")
	first := r.chat("s1")
	r.chat("s1")
	r.chat("s2")
	r.do("GET", "/v1/models", "")

	s := read()
	require.EqualValues(t, 4, s.Selections)
	require.Len(t, s.Reasons, 11, "also those of none")
	require.EqualValues(t, 2, s.Reasons["new"])
	require.EqualValues(t, 1, s.Reasons["bound"])
	require.EqualValues(t, 1, s.Reasons["no-session"])
	require.Len(t, s.Upstreams, 2)
	for i, u := range s.Upstreams {
		require.Equal(t, r.backends[i].name, u.Name)
		require.Equal(t, r.backends[i].URL, u.URL)
		require.True(t, u.Available)
		require.Zero(t, u.OutUntil)
		require.Equal(t, 1, u.Bindings)
	}
	text := do(200, "GET", "/")
	require.Regexp(t, `(?m)^upstream +state +bindings +requests +failures +of requests +of cost +cached +begins in +url$`, text)
	require.Regexp(t, `(?m)^a +in +1 `, text)
	require.Regexp(t, `(?m)^reason +selections$`, text)
	require.Regexp(t, `(?m)^new +2$`, text)
	require.Regexp(t, `(?m)^all +4$`, text)
	require.Regexp(t, `(?m)^bindings lost for want of -capacity +0$`, text)

	do(204, "DELETE", "/sessions/"+first.Header.Get(sessionHeader))
	require.Equal(t, "new", r.chat("s1").Header.Get(reasonHeader))
	do(204, "DELETE", "/targets/"+r.chat("s2").Header.Get(targetHeader))
	require.Equal(t, "new", r.chat("s2").Header.Get(reasonHeader))
	for path, want := range map[string]int{
		"/sessions/0000000000000001":  404,
		"/sessions/0000000000000000":  404,
		"/sessions/1":                 400,
		"/sessions/xyzxyzxyzxyzxyzxy": 400,
		"/targets/nobody":             404,
		"/scopes/00":                  400,
		"/scopes/xyzxyz":              400,
		"/scopes/ffffff":              404,
		"/nothing":                    404,
		"/nothing/of/it":              404,
		"/nothing/0000000000000001":   404,
		"/status":                     405,
	} {
		do(want, "DELETE", path)
	}

	do(204, "PUT", "/targets/a/drain?for=1h")
	text = do(200, "GET", "/")
	require.Regexp(t, `(?m)^a +in, draining until [0-9:]+ `, text)
	require.WithinDuration(t, time.Now().Add(time.Hour), read().Upstreams[0].DrainEnds, time.Minute)
	require.False(t, read().Upstreams[1].Draining)
	for i := range 5 {
		require.Equal(t, "b", r.chat(fmt.Sprint("drained-", i)).Header.Get(targetHeader))
	}
	text = do(200, "POST", "/targets/b/move?to=a")
	require.Regexp(t, `^\{"moved":[56]\}`, text)
	require.Equal(t, "a", r.chat("drained-1").Header.Get(targetHeader), "it keeps those it has")
	do(204, "PUT", "/targets/a/drain")
	text = do(200, "GET", "/")
	require.Regexp(t, `(?m)^a +in, draining +[0-9]`, text)
	require.Zero(t, read().Upstreams[0].DrainEnds)
	do(204, "DELETE", "/targets/a/drain")
	require.False(t, read().Upstreams[0].Draining)

	digest := first.Header.Get(sessionHeader)
	for _, to := range []string{"a", "b"} {
		for _, which := range []string{"/sessions/" + digest, "/scopes/" + digest[:6]} {
			do(200, "POST", which+"/move?to="+to)
			require.Equal(t, to, r.chat("s1").Header.Get(targetHeader), which)
		}
	}
	do(204, "DELETE", "/scopes/"+digest[:6])
	for _, u := range read().Upstreams {
		require.Zero(t, u.Bindings)
	}
	for path, want := range map[string]int{
		"PUT /targets/nobody/drain":    404,
		"PUT /targets/a/drain?for=-1s": 400,
		"PUT /targets/a/drain?for=0s":  400,
		"PUT /targets/a/drain?for=x":   400,
		"POST /targets/a/move":         400,
		"POST /targets/a/move?to=x":    400,
	} {
		method, path, _ := strings.Cut(path, " ")
		do(want, method, path)
	}

	r.answer(500)
	r.chat("s3")
	r.chat("s4") // the first may have been to blame itself for failing twice
	s = read()
	for _, u := range s.Upstreams {
		require.False(t, u.Available)
		require.NotZero(t, u.OutUntil)
		require.NotZero(t, u.Failures)
	}
	text = do(200, "GET", "/")
	require.Contains(t, text, "out until")
}

// A -capacity that is too small can be seen.
func TestAdminOfALackOfRoom(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, func(o *options) { o.capacity = 3 })
	for i := range 5 {
		r.chat(fmt.Sprint("s", i))
	}
	require.EqualValues(t, 2, r.g.status().Evicted)
}

// An upstream is drained, and then taken out of the configuration: what is left of it can still
// be moved, released and forgotten.
func TestAdminOfWhatIsGone(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	do := func(method, path string) int {
		w := httptest.NewRecorder()
		r.g.admin().ServeHTTP(w, httptest.NewRequest(method, path, nil))
		return w.Code
	}
	r.chat("s1")
	r.chat("s2")
	set := r.g.setup.Load()
	require.Equal(t, 204, do("PUT", "/targets/a/drain"))
	require.NoError(t, r.g.use(set.upstreams[1:], set.sel.Cache()))
	require.Equal(t, 200, do("POST", "/targets/a/move?to=b"))
	require.Equal(t, map[string]int{"b": 2}, set.sel.Counts())
	require.Equal(t, 204, do("DELETE", "/targets/a/drain"))
	require.Empty(t, set.sel.Drained())
	require.Equal(t, 404, do("DELETE", "/targets/a/drain"), "nothing is left of it")

	require.NoError(t, r.g.use(set.upstreams[:1], set.sel.Cache()))
	require.Equal(t, 204, do("DELETE", "/targets/b"))
	require.Empty(t, set.sel.Counts())
}

// What the status says of the work: what it cost, as the answers tell, for how many sessions, and
// how soon it began.
func TestStatusOfWork(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		for _, s := range w.g.status().Upstreams {
			require.Zero(t, s.RequestShare)
			require.Zero(t, s.CostShare)
		}
		home, _ := w.do("s")
		for range paceFirm {
			w.do("s")
		}
		// This is what it took when it was asked for.
		w.ask("GET", "/v1/responses/r", "", "X-Session-ID", "s")
		// A session that is known by its messages has several bindings.
		w.g.setup.Load().sel.Drain(home, time.Time{})
		for _, body := range []string{`{"messages":[{"role":"user","content":"one"}]}`,
			`{"messages":[{"role":"user","content":"one"},{"role":"assistant","content":"1"},{"role":"user","content":"two"}]}`} {
			w.ask("POST", "/v1/chat/completions", body)
		}
		w.g.setup.Load().sel.Resume(home)
		// It has a second place while its home is out.
		w.let(home, refuses(529))
		w.do("s")

		for _, s := range w.g.status().Upstreams {
			if s.Name == home {
				const n = 1 + paceFirm
				require.Equal(t, [3]int{n * 100, n * 900, n * 50}, [3]int{s.Uncached, s.Cached, s.Output})
				require.InDelta(t, n*affinity.Usage{Uncached: 100, Cached: 900, Output: 50}.Cost(), s.Cost, 1e-6)
				require.InDelta(t, float64(n)/(n+3), s.CostShare, 1e-6)
				require.EqualValues(t, n+2, s.Requests)
				require.InDelta(t, float64(n+2)/(n+5), s.RequestShare, 1e-6)
				require.EqualValues(t, 1, s.Failures)
				require.InDelta(t, 50, s.StreamMS, 1)
				require.Zero(t, s.WholeMS)
				require.Equal(t, 1, s.Bindings)
			} else {
				require.Zero(t, s.StreamMS, "too few to say")
				require.Greater(t, s.Bindings, 1)
			}
			require.Equal(t, 1, s.Sessions)
		}
	})
}

// All sessions of an upstream are counted, each once.
func TestStatusOfSessions(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		for _, s := range []string{"r", "s", "t", "s"} {
			w.do(s)
		}
		require.Equal(t, 3, w.g.status().Upstreams[0].Sessions)
	})
}

// What a page of somebody else's asks for in a browser is not done.
func TestAdminIsForItsOwnPage(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	for site, want := range map[string]int{"cross-site": http.StatusForbidden, "same-origin": http.StatusOK, "": http.StatusOK} {
		req := httptest.NewRequest("POST", "http://localhost:9090/targets/a/move?to=b", nil)
		if site != "" {
			req.Header.Set("Sec-Fetch-Site", site)
		}
		rec := httptest.NewRecorder()
		r.g.admin().ServeHTTP(rec, req)
		require.Equal(t, want, rec.Code, site)
	}
}

// Nor if its name was made to lead here.
func TestAdminIsForItsOwnHost(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	admin := httptest.NewServer(r.g.admin())
	defer admin.Close()
	for host, want := range map[string]int{"evil.example:9090": 403, "127.0.0.1.evil.example": 403, "localhost:9090": 200, "127.0.0.1": 200, "[::1]:9090": 200} {
		req, err := http.NewRequest("POST", admin.URL+"/targets/a/move?to=b", nil)
		require.NoError(t, err)
		req.Host = host
		req.Header.Set("Sec-Fetch-Site", "same-origin")
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		resp.Body.Close()
		require.Equal(t, want, resp.StatusCode, host)
	}

	// On another address, it may have any name, and in HTTP/1.0 it need have none.
	for at, host := range map[string]string{"192.0.2.1": "gateway.example:9090", "127.0.0.1": ""} {
		req := httptest.NewRequest("GET", "/status", nil)
		req.Host = host
		ctx := context.WithValue(req.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: net.ParseIP(at)})
		rec := httptest.NewRecorder()
		r.g.admin().ServeHTTP(rec, req.WithContext(ctx))
		require.Equal(t, 200, rec.Code, at)
	}
}

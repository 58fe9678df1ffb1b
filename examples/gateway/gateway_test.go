package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/balance"
	"github.com/go-affinity/affinity/extract"
	"github.com/go-affinity/affinity/internal/corpus"
)

func TestFlags(t *testing.T) {
	t.Setenv("GATEWAY_TEST_KEY", "k")
	for args, want := range map[string]string{
		"":                       "no upstream: give -upstream",
		"-upstream a":            "want name=url",
		"-upstream =http://h":    "want name=url",
		"-upstream a=ftp://h":    "want an http or https URL",
		"-upstream a=http://":    "want an http or https URL",
		"-upstream a/b=http://h": "without spaces and slashes",
		"-upstream a=http://h,key-env=NO_SUCH_VARIABLE": "NO_SUCH_VARIABLE is not set",
		"-upstream a=http://h -upstream a=http://i":     "two upstreams called",
		"-upstream a=http://h extra":                    "unexpected argument",
		"-upstream a=http://h -ttl 0s":                  "-ttl must be positive",
		"-upstream a=http://h -capacity 0":              "-capacity must be positive",
		"-upstream a=http://h -body-limit 0":            "-body-limit must be positive",
		"-upstream a=http://h -cooldown -1s":            "-cooldown must be positive",
		"-no-such-flag":                                 "not defined",
	} {
		_, err := parse(strings.Fields(args), io.Discard)
		require.ErrorContains(t, err, want, args)
	}
	o, err := parse(strings.Fields("-listen :1 -admin :2 -upstream a=https://h/x,key-env=GATEWAY_TEST_KEY -upstream b=http://i -ttl 5m -capacity 7 -v"), io.Discard)
	require.NoError(t, err)
	require.Equal(t, "k", o.upstreams[0].key)
	require.Equal(t, "https://h/x", o.upstreams[0].url.String())
	require.Equal(t, 5*time.Minute, o.ttl)
	_, err = parse([]string{"-help"}, io.Discard)
	require.ErrorIs(t, err, flag.ErrHelp)
}

func TestRunServesUntilItIsTold(t *testing.T) {
	t.Parallel()
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hi") }))
	defer backend.Close()
	r, w := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- run(ctx, []string{"-listen", "127.0.0.1:0", "-admin", "127.0.0.1:0", "-upstream", "a=" + backend.URL}, io.Discard, w)
		w.Close()
	}()
	var addrs []string
	buf := make([]byte, 4096)
	for len(addrs) < 2 {
		n, err := r.Read(buf)
		require.NoError(t, err)
		_, addr, ok := strings.Cut(string(buf[:n]), "addr=")
		require.True(t, ok)
		addrs = append(addrs, strings.TrimSpace(addr))
	}
	go io.Copy(io.Discard, r)
	resp, err := http.Get("http://" + addrs[0] + "/v1/models")
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, "a", resp.Header.Get(targetHeader))
	resp, err = http.Get("http://" + addrs[1] + "/")
	require.NoError(t, err)
	text, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	require.Contains(t, string(text), "upstream")
	http.DefaultClient.CloseIdleConnections()
	cancel()
	require.NoError(t, <-done)
}

func TestPortTaken(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	err = run(t.Context(), []string{"-listen", l.Addr().String(), "-upstream", "a=http://h"}, io.Discard, io.Discard)
	require.ErrorContains(t, err, "is another program listening there?")
}

func TestAdmin(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.g.upstreams[0].url.User = nil
	admin := httptest.NewServer(r.g.admin())
	defer admin.Close()
	do := func(method, path string) (int, string) {
		req, err := http.NewRequest(method, admin.URL+path, nil)
		require.NoError(t, err)
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, string(b)
	}
	first := r.chat("s1")
	r.chat("s1")
	r.chat("s2")
	r.do("GET", "/v1/models", "")

	code, text := do("GET", "/status")
	require.Equal(t, 200, code)
	var s status
	require.NoError(t, json.Unmarshal([]byte(text), &s))
	require.Len(t, s.Upstreams, 2)
	sum, requests := int64(0), int64(0)
	for _, n := range s.Reasons {
		sum += n
	}
	for _, u := range s.Upstreams {
		require.True(t, u.Available)
		require.Equal(t, 1, u.Bindings)
		requests += u.Requests
	}
	require.EqualValues(t, 4, sum)
	require.EqualValues(t, 4, requests)
	require.EqualValues(t, 2, s.Reasons["new"])
	require.EqualValues(t, 1, s.Reasons["no-session"])

	code, text = do("GET", "/")
	require.Equal(t, 200, code)
	require.Contains(t, text, "bindings")

	code, _ = do("DELETE", "/sessions/"+first.Header.Get(sessionHeader))
	require.Equal(t, 204, code)
	require.Equal(t, "new", r.chat("s1").Header.Get(reasonHeader))
	code, _ = do("DELETE", "/targets/"+r.chat("s2").Header.Get(targetHeader))
	require.Equal(t, 204, code)
	require.Equal(t, "new", r.chat("s2").Header.Get(reasonHeader))
	for path, want := range map[string]int{
		"/sessions/0000000000000001": 404, "/sessions/0": 400, "/sessions/xyz": 400, "/targets/nobody": 404, "/nothing": 404, "/status": 405,
	} {
		code, _ = do("DELETE", path)
		require.Equal(t, want, code, path)
	}

	r.backend("a").answers(500)
	r.backend("b").answers(500)
	r.chat("s3")
	_, text = do("GET", "/")
	require.Contains(t, text, "out until")
}

// Work is forgotten by half in five minutes, and many placements at once do not
// all see the same minimum.
func TestLeastWork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var p leastWork
		list := []*upstream{{name: "a"}, {name: "b"}, {name: "c"}}
		pick := func() string {
			u, err := p.Pick(t.Context(), nil, list)
			require.NoError(t, err)
			return u.name
		}
		require.Equal(t, []string{"a", "b", "c", "a", "b", "c"}, []string{pick(), pick(), pick(), pick(), pick(), pick()})
		for range 8 {
			p.sent(list[0])
		}
		require.Equal(t, []string{"b", "c", "b", "c"}, []string{pick(), pick(), pick(), pick()})
		<-time.After(20 * halfLife)
		got := []string{pick(), pick(), pick()}
		slices.Sort(got)
		require.Equal(t, []string{"a", "b", "c"}, got)
		_, err := p.Pick(t.Context(), nil, nil)
		require.Error(t, err)
	})
}

func TestCooldown(t *testing.T) {
	t.Parallel()
	var u upstream
	now := time.Unix(1000, 0)
	require.True(t, u.available(now))
	u.takeOut(now, time.Minute)
	u.takeOut(now, time.Second) // does not bring it back sooner
	require.False(t, u.available(now.Add(time.Minute-1)))
	require.True(t, u.available(now.Add(time.Minute)))
}

func TestDemo(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.NoError(t, demo(t.Context(), &out))
	for _, client := range []string{"claude", "codex", "gemini", "opencode", "pi-chat", "pi-responses", "all"} {
		require.Contains(t, out.String(), "\n"+client+" ")
	}
	for line := range strings.Lines(out.String()) {
		require.LessOrEqual(t, len([]rune(line)), 105, line)
	}
	var again bytes.Buffer
	require.NoError(t, demo(t.Context(), &again))
	require.Equal(t, out.String(), again.String(), "the same at every run")
}

// The corpus through the gateway, in either order: nobody moves, no two share an
// Affinity-Session, and the busiest upstream has at most 1.6 times the mean.
func TestCorpus(t *testing.T) {
	t.Parallel()
	for _, requests := range [][]corpus.Request{corpus.Clients(), corpus.Interleave(corpus.Clients())} {
		out, err := replay(t.Context(), requests, extract.Default(), nil)
		require.NoError(t, err)
		require.NoError(t, out.check())
		require.LessOrEqual(t, float64(slices.Max(out.requests)), 1.6*float64(len(requests))/4)
		s := out.sums("")
		require.Equal(t, s.later, s.stayed)
	}
}

// The demo's check of itself finds what is wrong.
func TestDemoCheckFindsFaults(t *testing.T) {
	t.Parallel()
	requests := corpus.Clients()
	n := 0
	for want, id := range map[string]func() string{
		"moved":         func() string { n++; return fmt.Sprint("request ", n) },
		"taken for one": func() string { return "all" },
	} {
		e := extract.ExtractorFunc(func(*extract.Request) (extract.Session, bool) {
			return extract.Session{Source: "test", ID: id()}, true
		})
		out, err := replay(t.Context(), requests, e, balance.RoundRobin[*upstream]())
		require.NoError(t, err)
		require.ErrorContains(t, out.check(), want)
	}
	out, err := replay(t.Context(), requests[:1], extract.Chain{}, nil)
	require.NoError(t, err)
	require.ErrorContains(t, out.check(), "not recognised")
}

func TestFakeCachesPrefixes(t *testing.T) {
	t.Parallel()
	var f fake
	const system = `"system":[{"type":"text","text":"be kind"}],`
	first := f.read([]byte(`{` + system + `"messages":[{"role":"user","content":[{"type":"text","text":"hi","cache_control":{}}]}]}`))
	require.Zero(t, first.Cached)
	second := f.read([]byte(`{` + system + `"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"hello"}]}`))
	require.Equal(t, first.Input, second.Cached)
	other := f.read([]byte(`{"messages":[{"role":"user","content":"hi"}]}`))
	require.Zero(t, other.Cached)
	require.Zero(t, f.read([]byte(`nonsense`)).Input)
}

func TestDiscardLogger(t *testing.T) {
	t.Parallel()
	_, err := newGateway(options{ttl: -1}, extract.Default(), slog.New(slog.DiscardHandler), nil)
	require.ErrorContains(t, err, "TTL")
}

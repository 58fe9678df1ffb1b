package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

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
		write("# more\n\na=http://a\na=http://b\n")
		require.ErrorContains(t, w.g.reload(), `there are two upstreams called "a": give each a name of its own (in line 4 of the file of -upstreams)`)
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
	rec := httptest.NewRecorder()
	r.g.admin().ServeHTTP(rec, httptest.NewRequest("POST", "/reload", nil))
	require.Equal(t, 204, rec.Code)
	require.Equal(t, 200, r.chat("s").StatusCode, "nor is it out for what the old one was")

	require.ErrorContains(t, newRig(t, 1).g.reload(), "there is no file to read")
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

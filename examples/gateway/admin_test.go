package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAdmin(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
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
	read := func() (s status) {
		code, text := do("GET", "/status")
		require.Equal(t, 200, code)
		require.NoError(t, json.Unmarshal([]byte(text), &s))
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
	first := r.chat("s1")
	r.chat("s1")
	r.chat("s2")
	r.do("GET", "/v1/models", "")

	s := read()
	require.EqualValues(t, 4, s.Selections)
	require.Len(t, s.Reasons, len(reasons), "also those of none")
	require.EqualValues(t, 2, s.Reasons["new"])
	require.EqualValues(t, 1, s.Reasons["bound"])
	require.EqualValues(t, 1, s.Reasons["no-session"])
	require.Len(t, s.Upstreams, 2)
	for i, u := range s.Upstreams {
		require.Equal(t, r.backends[i].name, u.Name)
		require.Equal(t, r.backends[i].URL, u.URL)
		require.True(t, u.Available)
		require.Nil(t, u.OutUntil)
		require.Equal(t, 1, u.Bindings)
	}
	code, text := do("GET", "/")
	require.Equal(t, 200, code)
	require.Regexp(t, `(?m)^upstream +state +bindings +requests +failures +share +of cost +cached +begins +url$`, text)
	require.Regexp(t, `(?m)^a +in +1 `, text)
	require.Regexp(t, `(?m)^all +4$`, text)

	code, _ = do("DELETE", "/sessions/"+first.Header.Get(sessionHeader))
	require.Equal(t, 204, code)
	require.Equal(t, "new", r.chat("s1").Header.Get(reasonHeader))
	code, _ = do("DELETE", "/targets/"+r.chat("s2").Header.Get(targetHeader))
	require.Equal(t, 204, code)
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
		code, _ = do("DELETE", path)
		require.Equal(t, want, code, path)
	}

	code, _ = do("PUT", "/targets/a/drain?for=1h")
	require.Equal(t, 204, code)
	for i := range 5 {
		require.Equal(t, "b", r.chat(fmt.Sprint("drained-", i)).Header.Get(targetHeader))
	}
	code, text = do("POST", "/targets/b/move?to=a")
	require.Equal(t, 200, code)
	require.Regexp(t, `^\{"moved":[56]\}`, text)
	require.Equal(t, "a", r.chat("drained-1").Header.Get(targetHeader), "it keeps those it has")
	code, _ = do("DELETE", "/targets/a/drain")
	require.Equal(t, 204, code)
	for path, want := range map[string]int{
		"PUT /targets/nobody/drain":    404,
		"PUT /targets/a/drain?for=-1s": 400,
		"PUT /targets/a/drain?for=x":   400,
		"POST /targets/a/move":         400,
		"POST /targets/a/move?to=x":    400,
	} {
		method, path, _ := strings.Cut(path, " ")
		code, _ = do(method, path)
		require.Equal(t, want, code, path)
	}

	r.backend("a").answers(500)
	r.backend("b").answers(500)
	r.chat("s3")
	r.chat("s4") // the first may have been to blame itself for failing twice
	s = read()
	for _, u := range s.Upstreams {
		require.False(t, u.Available)
		require.NotNil(t, u.OutUntil)
		require.NotZero(t, u.Failures)
	}
	_, text = do("GET", "/")
	require.Contains(t, text, "out until")
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
}

package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The upstream gets its own credential in the header in which the client had one, or which
// means the same, and the client's never.
func TestUpstreamCredentials(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, func(o *options) { o.upstreams[0].key = "their/s" })
	var got *http.Request
	r.backends[0].does(func(_ http.ResponseWriter, req *http.Request) { got = req })
	for _, tt := range []struct {
		path   string
		client []string
		header string // all that the upstream may see
		query  string
	}{
		{"/v1/chat/completions", []string{"Authorization", "Bearer mine"}, "Authorization: Bearer their/s", ""},
		{"/v1/chat/completions", []string{"Authorization", "Basic mine"}, "Authorization: Bearer their/s", ""},
		{"/v1/messages", []string{"X-Api-Key", "mine", "X-Api-Key", "mine2"}, "X-Api-Key: their/s", ""},
		{"/v1/messages", []string{"Authorization", "Bearer mine"}, "Authorization: Bearer their/s", ""},
		{"/v1/messages", []string{"Authorization", "Bearer mine", "X-Api-Key", "mine"}, "Authorization: Bearer their/s X-Api-Key: their/s", ""},
		{"/v1beta/models/m:generateContent", []string{"X-Goog-Api-Key", "mine"}, "X-Goog-Api-Key: their/s", ""},
		{"/openai/deployments/d", []string{"Api-Key", "mine"}, "Api-Key: their/s", ""},
		{"/v1beta/models/m:generateContent?b=%20x&key=mine&a", nil, "X-Goog-Api-Key: their/s", "b=%20x&a"},
		{"/v1beta/models/m:generateContent?k%65y=mine;x&key=mine", nil, "X-Goog-Api-Key: their/s", ""},
		{"/v1beta/models/m:generateContent?key=mine", []string{"X-Goog-Api-Key", "mine"}, "X-Goog-Api-Key: their/s", ""},

		{"/v1beta/models/m:generateContent?access_token=mine", nil, "Authorization: Bearer their/s", ""},
		{"/openai/realtime?api-key=mine&deployment=d", nil, "Api-Key: their/s", "deployment=d"},
		{"/v1beta/models/m:generateContent?oauth_token=mine", nil, "Authorization: Bearer their/s", ""},
		{"/openai/realtime?subscription-key=mine", nil, "Ocp-Apim-Subscription-Key: their/s", ""},
		{"/openai/deployments/d", []string{"Ocp-Apim-Subscription-Key", "mine"}, "Ocp-Apim-Subscription-Key: their/s", ""},
		{"/v1/messages", []string{"X-Litellm-Api-Key", "mine"}, "X-Litellm-Api-Key: their/s", ""},
		{"/v1/realtime", []string{"Sec-WebSocket-Protocol", "realtime, openai-insecure-api-key.mine,v1"}, "Sec-Websocket-Protocol: realtime, openai-insecure-api-key.their/s,v1", ""},
		{"/v1/realtime", []string{"Sec-WebSocket-Protocol", "openai-insecure-api-key.mine", "Sec-WebSocket-Protocol", "realtime"}, "Sec-Websocket-Protocol: openai-insecure-api-key.their/s Sec-Websocket-Protocol: realtime", ""},

		{"/v1/messages?beta=true", nil, "X-Api-Key: their/s", "beta=true"},
		{"/v1/messages/count_tokens", nil, "X-Api-Key: their/s", ""},
		{"/v1beta/models/m:streamGenerateContent", nil, "X-Goog-Api-Key: their/s", ""},
		{"/v1/models/m:generateContent", nil, "X-Goog-Api-Key: their/s", ""},
		{"/v1/models/m:streamGenerateContent?%zz=mi&n", nil, "X-Goog-Api-Key: their/s", "%zz=mi&n"},
		{"/v1beta/models", nil, "X-Goog-Api-Key: their/s", ""},
		{"/v1beta/openai/chat/completions", nil, "Authorization: Bearer their/s", ""},
		{"/v1/responses", nil, "Authorization: Bearer their/s", ""},
		{"/v1/models/ft:gpt", nil, "Authorization: Bearer their/s", ""},
	} {
		require.Equal(t, 200, r.do("POST", tt.path, `{}`, tt.client...).StatusCode)
		seen := ""
		for _, name := range append(credentialHeaders, protocolHeader) {
			for _, v := range got.Header[name] {
				seen += " " + name + ": " + v
			}
		}
		require.Equal(t, tt.header, seen[min(1, len(seen)):], tt.path)
		require.Equal(t, tt.query, got.URL.RawQuery)
		require.NotContains(t, fmt.Sprint(got.Header, got.URL), "mine", tt.path)
	}
}

// Two attempts with different keys do not see each other's.
func TestCredentialsOfTwoAttempts(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2, func(o *options) { o.upstreams[0].key, o.upstreams[1].key = "k-a", "" })
	var got [2]http.Header
	for i, b := range r.backends {
		b.does(func(w http.ResponseWriter, req *http.Request) {
			got[i] = req.Header
			w.WriteHeader(500 * (1 - i))
		})
	}
	r.backends[1].does(func(_ http.ResponseWriter, req *http.Request) { got[1] = req.Header })
	r.g.setup.Load().sel.Drain("b", time.Time{}) // so that a is asked first
	r.do("POST", "/v1/messages", `{}`, "X-Api-Key", "mine")
	require.Equal(t, []string{"k-a"}, got[0]["X-Api-Key"])
	require.Equal(t, []string{"mine"}, got[1]["X-Api-Key"])
}

// The upstream's key is not shown to clients: neither where the upstream repeats
// what it was offered, nor where it repeats all.
func TestKeysAreWithheld(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, func(o *options) { o.upstreams[0].key = "theirs" })
	r.backends[0].does(func(w http.ResponseWriter, req *http.Request) {
		if req.Method == http.MethodTrace {
			req.Write(w)
			return
		}
		protocol, _, _ := strings.Cut(req.Header.Get("Sec-WebSocket-Protocol"), ",") // takes the first
		c, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			defer c.Close()
			fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: %s\r\n\r\n", protocol)
		}
	})
	answer := r.raw("GET /v1/realtime HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Protocol: openai-insecure-api-key.mine, realtime\r\n\r\n")
	require.Contains(t, answer, "Sec-Websocket-Protocol: openai-insecure-api-key.mine\r\n")
	require.NotContains(t, answer, "theirs")
	answer = r.raw("GET /v1/realtime HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.mine\r\n\r\n")
	require.Contains(t, answer, "Sec-Websocket-Protocol: realtime\r\n")
	answer = r.raw("TRACE / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	require.Contains(t, answer, "405")
	require.NotContains(t, answer, "theirs")
	require.Contains(t, r.raw("CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\nConnection: close\r\n\r\n"), "405")
	require.Contains(t, r.raw("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), "405")
}

// What it repeats is what the client has offered first in that place, whatever else it offers.
func TestKeyIsExchangedForTheFirst(t *testing.T) {
	t.Parallel()
	answer := http.Header{protocolHeader: {protocolPrefix + "theirs"}}
	withhold(answer, &http.Request{Header: http.Header{protocolHeader: {"realtime, " + protocolPrefix + "mine", protocolPrefix + "another"}}}, "theirs")
	require.Equal(t, http.Header{protocolHeader: {protocolPrefix + "mine"}}, answer)

	answer = http.Header{protocolHeader: {protocolPrefix + "theirs"}}
	withhold(answer, &http.Request{Header: http.Header{protocolHeader: {"realtime"}}}, "theirs")
	require.Equal(t, http.Header{}, answer, "nor does it get one that it has not asked for")
}

// An upstream that repeats an address, such as Google where there is nothing, or one that sends
// a client elsewhere, repeats no key of its own. The rest of the query it gets as it is.
func TestKeysInAddresses(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, func(o *options) { o.upstreams[0].key = "their/s" })
	r.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	r.backends[0].does(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Location", req.RequestURI)
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprintf(w, "The requested URL %s was not found on this server.", req.RequestURI)
	})
	for query, want := range map[string]string{
		"?": "?", "?a;b=%20": "?a;b=%20", "?key=mine": "", "?a&key=mine%2F&b": "?a&b", "?access_token=mine": "",
		"?&&key=mine&": "?&&", "?url=https://h/?key=x": "?url=https://h/?key=x",
	} {
		resp := r.do("GET", "/v1beta/models"+query, "")
		require.Equal(t, "/v1beta/models"+want, resp.Header.Get("Location"))
		require.Equal(t, "The requested URL /v1beta/models"+want+" was not found on this server.", resp.text)
	}
	// A key of something else is not ours to change.
	r.backends[0].answers(302, "Location", "https://files.example/f?key=f-1")
	require.Equal(t, "https://files.example/f?key=f-1", r.do("GET", "/v1/files/f?key=mine", "").Header.Get("Location"))
}

// A query of many parts takes no memory.
func TestManyParts(t *testing.T) {
	many := strings.Repeat("a&", 1000)
	require.Zero(t, testing.AllocsPerRun(5, func() { queryTenant(many) }))
}

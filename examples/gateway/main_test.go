package main

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"io"
	stdlog "log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/extract"
)

func TestFlagErrors(t *testing.T) {
	t.Setenv("GATEWAY_TEST_EMPTY", " ")
	t.Setenv("GATEWAY_TEST_LINES", "hunter\n2")
	t.Setenv("GATEWAY_TEST_UMLAUT", "hunter\u00e4")
	for args, want := range map[string]string{
		"":                                                 "no upstream: give -upstream",
		"-upstream a":                                      "want name=url",
		"-upstream =http://h":                              "want name=url",
		"-upstream http://h/?a=b":                          "want name=url",
		"-upstream a=ftp://hunter@h":                       "want an http or https URL",
		"-upstream a=http://":                              "want an http or https URL",
		"-upstream a=http://hunter%zz":                     "want an http or https URL",
		"-upstream a=http://h:99999":                       "the port must be a number up to 65535",
		"-upstream a=http://h:100000":                      "the port must be a number up to 65535",
		"-upstream a/b=http://h":                           "without spaces and slashes",
		"-upstream a\x01=http://h":                         "without spaces and slashes",
		"-upstream a\x7f=http://h":                         "without spaces and slashes",
		"-upstream \u00e4=http://h":                        "must be printable",
		"-upstream a=http://user:hunter@h":                 "add ,key-env=VARIABLE",
		"-upstream a=http://h?key=hunter":                  "add ,key-env=VARIABLE",
		"-upstream a=http://h?":                            "the URL must end with its path",
		"-upstream a=http://h#hunter":                      "the URL must end with its path",
		"-upstream a=http://h,key=hunter":                  "all that may follow the URL is ,key-env=VARIABLE or ,key-file=FILE",
		"-upstream a=http://h,key-env=":                    "all that may follow the URL is ,key-env=VARIABLE or ,key-file=FILE",
		"-upstream a=http://h,key-file=":                   "all that may follow the URL is ,key-env=VARIABLE or ,key-file=FILE",
		"-upstream a=http://h,key-file=/nowhere/at/all":    "-upstream a: key-file must name a file that can be read: no such file",
		"-upstream a=http://h,key-file=hunter2":            "-upstream a: key-file must name a file that can be read: no such file",
		"-upstream a=http://h,key-file=/dev/null":          "what key-file names holds no credential: put it there, or leave out key-file",
		"-upstream a=http://h,key-env=GATEWAY_TEST_ABSENT": "what key-env names holds no credential: put it there, or leave out key-env",
		"-upstream a=http://h,key-env=hunter2":             "what key-env names holds no credential: put it there, or leave out key-env",
		"-upstream a=http://h,key-env=GATEWAY_TEST_EMPTY":  "what key-env names holds no credential",
		"-upstream a=http://h,key-env=GATEWAY_TEST_LINES":  "what key-env names holds more than a credential",
		"-upstream a=http://h,key-env=GATEWAY_TEST_UMLAUT": "what key-env names holds more than a credential",
		"-upstream a=http://h -upstream a=http://i":        "two upstreams called",
		"-upstream a=http://h -upstream b":                 "want name=url",
		"-upstream a=http://h b=http://u:hunter@h":         "argument 3 belongs to no flag",
		"-upstream a=http://h -listen=":                    "-listen must be an address, such as",
		"-upstream a=http://h -ttl 0s":                     "-ttl must be positive",
		"-upstream a=http://h -ttl soon":                   "see -help",
		"-upstream a=http://h -capacity 0":                 "-capacity must be positive",
		"-upstream a=http://h -body-limit 0":               "-body-limit must be positive",
		"-upstream a=http://h -cooldown -1s":               "-cooldown must be positive",
		"-upstream a=http://h -patience -1s":               "-patience must not be negative",
		"-upstream a=http://h -slow 1":                     "-slow must be more than 1",
		"-upstream a=http://h -slow NaN":                   "-slow must be more than 1",
		"-upstream a=http://h -slow 1e300":                 "at most 1000",
		"-upstream a=http://h -failover stay":              "want rebind or return",
		"-upstreams /nowhere/at/all":                       "-upstreams: want a file with lines such as a=https://host-a: no such file",
		"-upstreams .":                                     "-upstreams: want a file with lines such as a=https://host-a: ",
		"-upstream a=http://h,key-file=.":                  "key-file must name a file that can be read: ",
		"-upstreams a=http://u:hunter@h":                   "-upstreams: want a file with lines such as a=https://host-a: no such file",
		"-upstreams /dev/null":                             "-upstreams: there is none in the file",
		"-demo -ttl 5m":                                    "give it alone",
		"-no-such-flag":                                    "see -help",
	} {
		var out bytes.Buffer
		_, err := parse(strings.Fields(args), &out)
		require.ErrorContains(t, err, want, args)
		require.NotContains(t, err.Error(), "hunter", "it is a secret")
		require.Empty(t, out.String())
	}
}

func TestFlags(t *testing.T) {
	t.Setenv("GATEWAY_TEST_KEY", "!~\n")
	o, err := parse(strings.Fields("-listen :1 -admin :2 -upstream a=https://h/x,key-env=GATEWAY_TEST_KEY -upstream b=http://i "+
		"-ttl 5m -capacity 7 -body-limit 8 -cooldown 9s -failover return -v"), io.Discard)
	require.NoError(t, err)
	require.Len(t, o.upstreams, 2)
	require.Equal(t, "!~", o.upstreams[0].key)
	require.Equal(t, "https://h/x", o.upstreams[0].url.String())
	require.Empty(t, o.upstreams[1].key)
	o.upstreams, o.fixed = nil, nil
	require.Equal(t, options{listen: ":1", admin: ":2", ttl: 5 * time.Minute, capacity: 7, bodyLimit: 8, cooldown: 9 * time.Second, verbose: true,
		patience: 15 * time.Second, hold: 10 * time.Second, slow: 4, failover: affinity.FailoverReturn}, o)

	o, err = parse(strings.Fields("-upstream a=http://h:65535 -failover rebind -prefix -slow 0 -patience 0s -capacity 1 -body-limit 1"), io.Discard)
	require.NoError(t, err)
	o.upstreams, o.fixed = nil, nil
	require.Equal(t, options{listen: "127.0.0.1:8080", ttl: time.Hour, capacity: 1, bodyLimit: 1, cooldown: 10 * time.Second,
		hold: 10 * time.Second, failover: affinity.FailoverRebind, prefix: true}, o)

	o, err = parse([]string{"-demo"}, io.Discard)
	require.NoError(t, err)
	require.True(t, o.demo)

	var help bytes.Buffer
	_, err = parse([]string{"-help"}, &help)
	require.ErrorIs(t, err, flag.ErrHelp)
	require.Contains(t, help.String(), "-upstream name=url[,key-env=VARIABLE|,key-file=FILE]\n")
}

// The name of an upstream outlives the file that it was read from.
func TestNameKeepsNoFileInMemory(t *testing.T) {
	t.Parallel()
	text := "a=http://host-a"
	u, err := parseUpstream(text)
	require.NoError(t, err)
	require.Equal(t, "a", u.name)
	require.NotSame(t, unsafe.StringData(text), unsafe.StringData(u.name))
}

// The gateway serves until it is told to stop, and then waits for who has switched protocols,
// too. (For streams, see TestOperation.)
func TestRun(t *testing.T) {
	t.Parallel()
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/upgrade" {
			switching("echo", echo)(w, r)
			return
		}
	}))
	defer backend.Close()
	r, w := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- run(ctx, []string{"-listen", "127.0.0.1:0", "-admin", "127.0.0.1:0", "-upstream", "a=" + backend.URL}, io.Discard, w)
		w.Close()
	}()
	log := bufio.NewScanner(r)
	line := func() string {
		require.True(t, log.Scan())
		return log.Text()
	}
	var addr [2]string
	for i := range addr {
		_, addr[i], _ = strings.Cut(line(), "addr=")
	}
	client := &http.Client{Transport: &http.Transport{}}
	get := func(url string) *http.Response {
		resp, err := client.Get(url)
		require.NoError(t, err)
		t.Cleanup(func() { resp.Body.Close() })
		return resp
	}
	resp := get("http://" + addr[0] + "/v1/models")
	require.Equal(t, "a", resp.Header.Get(targetHeader))
	text, err := io.ReadAll(get("http://" + addr[1] + "/").Body)
	require.NoError(t, err)
	require.Contains(t, string(text), "upstream")

	socket, err := net.Dial("tcp", addr[0])
	require.NoError(t, err)
	defer socket.Close()
	io.WriteString(socket, "GET /upgrade HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	talk := bufio.NewReader(socket)
	_, err = http.ReadResponse(talk, nil)
	require.NoError(t, err)
	cancel()
	require.Contains(t, line(), "stopping")
	for err == nil { // until nobody new is let in
		var c net.Conn
		if c, err = net.Dial("tcp", addr[0]); err == nil {
			c.Close()
		}
	}
	client.CloseIdleConnections()
	select {
	case <-done:
		t.Fatal("there is still somebody who has switched protocols")
	case <-time.After(100 * time.Millisecond):
	}
	io.WriteString(socket, "still there\n")
	text, err = talk.ReadBytes('\n')
	require.NoError(t, err)
	require.Equal(t, "still there\n", string(text))
	socket.Close()
	require.NoError(t, <-done)
	require.Equal(t, io.Discard, stdlog.Writer(), "package http quotes there what it has read")
}

func TestNewGatewayChecks(t *testing.T) {
	t.Parallel()
	_, err := newGateway(options{ttl: -1}, extract.Default(), slog.New(slog.DiscardHandler), nil)
	require.ErrorContains(t, err, "TTL")
}

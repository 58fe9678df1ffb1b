package main

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// asProgram has the test binary be the program.
const asProgram = "GATEWAY_TEST_MAIN=1"

func TestMain(m *testing.M) {
	if name, value, _ := strings.Cut(asProgram, "="); os.Getenv(name) == value {
		main()
		return
	}
	os.Exit(m.Run())
}

func program(t *testing.T, args ...string) *exec.Cmd {
	c := exec.CommandContext(t.Context(), os.Args[0], args...)
	c.Env = append(os.Environ(), asProgram)
	return c
}

// Whoever starts it wrongly learns from one line what to do, and a script from the exit code.
func TestExitCodes(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	busy := taken.Addr().String()
	for args, want := range map[string]string{
		"":              "no upstream: give -upstream",
		"-no-such-flag": "-no-such-flag (see -help)",
		"-upstream a=http://h -listen 127.0.0.1:0 -admin " + busy: "-admin: listen tcp " + busy + ": bind: address already in use: stop the program that listens there, or choose another address",
		"-upstream a=http://h -listen nonsense":                   "-listen: listen tcp: address nonsense: missing port in address: want an address of this machine, such as",
	} {
		c := program(t, strings.Fields(args)...)
		var out, errors strings.Builder
		c.Stdout, c.Stderr = &out, &errors
		require.Error(t, c.Run(), args)
		require.Equal(t, 1, c.ProcessState.ExitCode(), args)
		require.Empty(t, out.String(), args)
		require.Regexp(t, `^gateway: .+\n$`, errors.String(), args)
		require.Contains(t, errors.String(), want)
	}
	help, err := program(t, "-help").Output()
	require.NoError(t, err)
	require.Contains(t, string(help), "usage: gateway")
}

// What an operator does with it while it runs. Nothing that it writes tells whose request it was.
func TestOperation(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there are no such signals")
	}
	t.Parallel()
	streaming, end := make(chan struct{}), make(chan struct{})
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.Header.Get("Authorization"))
		if r.URL.Path == "/stream" {
			w.(http.Flusher).Flush()
			streaming <- struct{}{}
			<-end
			io.WriteString(w, " to its end")
		}
	}))
	defer backend.Close()
	defer close(end)
	dir := t.TempDir()
	file, key := filepath.Join(dir, "upstreams"), filepath.Join(dir, "key")
	write := func(name, text string) { require.NoError(t, os.WriteFile(name, []byte(text), 0o600)) }
	write(key, "key-1\n")
	write(file, "# one\na="+backend.URL+",key-file="+key+"\n")

	var told strings.Builder // all of what it has written
	start := func() (*exec.Cmd, *bufio.Reader, [2]string) {
		c := program(t, "-listen", "127.0.0.1:0", "-admin", "127.0.0.1:0", "-v", "-upstreams", file)
		pipe, err := c.StderrPipe()
		require.NoError(t, err)
		require.NoError(t, c.Start())
		log := bufio.NewReader(io.TeeReader(pipe, &told))
		var addr [2]string
		for i := range addr {
			_, addr[i], _ = strings.Cut(until(t, log, "listening"), "addr=")
		}
		return c, log, addr
	}
	c, log, addr := start()
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	get := func(url string) *http.Response {
		r, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+url, nil)
		require.NoError(t, err)
		r.Header.Set("X-Session-Id", "secret-session")
		r.Header.Set("Authorization", "Bearer secret-client")
		resp, err := client.Do(r)
		require.NoError(t, err)
		return resp
	}
	text := func(resp *http.Response) string {
		b, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		return string(b)
	}
	require.Equal(t, "Bearer key-1", text(get(addr[0]+"/secret-path?q=secret-query")))
	require.Regexp(t, "method=GET status=200 .* target=a reason=new ", until(t, log, "msg=request"))

	write(key, "key-2\n")
	require.NoError(t, c.Process.Signal(syscall.SIGHUP))
	require.Contains(t, until(t, log, "reloaded"), "upstreams=1")
	require.Equal(t, "Bearer key-2", text(get(addr[0]+"/")))
	write(file, "# more\n\nnothing of it\n")
	require.NoError(t, c.Process.Signal(syscall.SIGHUP))
	require.Contains(t, until(t, log, "not reloaded"), "want name=url, as in a=https://host-a (in line 3 of the file of -upstreams)")
	require.Equal(t, "Bearer key-2", text(get(addr[0]+"/")), "what it had before")
	pages := text(get(addr[1]+"/")) + text(get(addr[1]+"/status"))
	require.Contains(t, pages, `"reason`)

	stream := get(addr[0] + "/stream")
	<-streaming
	require.NoError(t, c.Process.Signal(syscall.SIGTERM))
	until(t, log, "stopping")
	end <- struct{}{}
	require.Equal(t, "Bearer key-2 to its end", text(stream))
	client.CloseIdleConnections()
	io.Copy(io.Discard, log)
	require.NoError(t, c.Wait(), "exit code 0")

	// Who cannot wait says so twice. (Not by os.Interrupt the second time: what a script runs
	// beside itself is started so that it ignores that.)
	write(file, "a="+backend.URL+"\n")
	c, log, addr = start()
	stream = get(addr[0] + "/stream")
	defer stream.Body.Close()
	<-streaming
	require.NoError(t, c.Process.Signal(os.Interrupt))
	until(t, log, "stopping")
	require.NoError(t, c.Process.Signal(syscall.SIGTERM))
	io.Copy(io.Discard, log)
	require.ErrorContains(t, c.Wait(), "signal: terminated")

	told.WriteString(pages)
	for _, secret := range []string{"secret", "key-1", "key-2"} {
		require.NotContains(t, told.String(), secret)
	}
}

// until reads a log up to a line with that in it.
func until(t *testing.T, log *bufio.Reader, what string) string {
	for {
		line, err := log.ReadString('\n')
		require.NoError(t, err, what)
		if strings.Contains(line, what) {
			return strings.TrimSpace(line)
		}
	}
}

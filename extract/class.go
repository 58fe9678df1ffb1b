package extract

import (
	"bytes"
	"slices"
	"strings"

	"github.com/go-affinity/affinity/internal/jsonscan"
)

// A Class is what kind of call a request is.
type Class uint8

const (
	// Turn is a turn of a conversation, or a call of which nothing else is
	// known.
	Turn Class = iota

	// Subagent is a turn of a sub-agent.
	Subagent

	// Probe is a call that no model answers for anybody: a HEAD request, a
	// token count, a warm-up, a test of the quota.
	Probe

	// Auxiliary is a call beside the conversation: a title, a suggestion, a
	// classifier, memory, an embedding, an image, speech.
	Auxiliary

	// Compaction is the call that replaces a conversation by its summary.
	Compaction
)

// String returns the class in lower case.
func (c Class) String() string {
	switch c {
	case Turn:
		return "turn"
	case Subagent:
		return "subagent"
	case Probe:
		return "probe"
	case Auxiliary:
		return "auxiliary"
	case Compaction:
		return "compaction"
	}
	return "<unknown extract.Class>"
}

// MarshalText implements [encoding.TextMarshaler] by String.
func (c Class) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// Beside reports whether calls of the class stand beside the conversation: they
// have another prompt, so that where they go says nothing about where the
// conversation is cached.
func (c Class) Beside() bool { return c == Probe || c == Auxiliary || c == Compaction }

// Class returns the class of the request: what the client says in its headers,
// what the method and the path say, or what the body has in an unmistakable
// form. When in doubt it is a Turn.
//
// Known are the headers of Claude Code (X-Claude-Code-Request-Class and others),
// Codex (X-Openai-Subagent, the request_kind of X-Codex-Turn-Metadata), Copilot
// (X-Interaction-Type) and OpenCode (X-Parent-Session-Id, which its sub-agents send),
// token counts, embeddings and the like by their paths, the warm-up and quota calls of
// Claude Code, greetings for a single token and the loading of models by Ollama, the fixed
// openings of the side calls of some 40 clients and of sub-agents, OpenAI's
// compaction_trigger, and, in anybody's words, system prompts that want a title or a summary
// of a conversation or a message for a commit, where there is nothing but a first question,
// and the wish for a title of so many words for the conversation at hand.
func (r *Request) Class() Class {
	r.spelling()
	c := r.pathClass()
	if c == Turn {
		c = r.headerClass()
	}
	if c == Turn {
		c = r.bodyClass()
	}
	return c
}

// classHeaders are those that headerClass asks for.
var classHeaders = newNameFilter("X-Claude-Code-Request-Class", "X-Claude-Code-Compaction", "X-Claude-Code-Agent-Id",
	"X-Openai-Subagent", "X-Codex-Turn-Metadata", "X-Interaction-Type", parentHeader)

// headerClass returns what any client says in its headers.
func (r *Request) headerClass() Class {
	if r.classless.Load() {
		return Turn
	}
	c := r.claudeClass(r.header("X-Claude-Code-Agent-Id"))
	if c == Turn {
		c = r.codexClass()
	}
	if c == Turn {
		c = r.copilotClass()
	}
	if c == Turn && r.header(parentHeader) != "" {
		c = Subagent
	}
	return c
}

func (r *Request) pathClass() Class {
	switch r.Method {
	case "HEAD", "OPTIONS":
		return Probe
	case "GET":
		if strings.HasSuffix(r.Path, "/models") { // what there is, which clients ask when they start
			return Probe
		}
	}
	const tail = 6
	if len(r.Path) < tail {
		return Turn
	}
	switch r.Path[len(r.Path)-tail:] { // the ends of all that are in the list
	case "etions": // most that there are, not to be compared with all of the list
		if strings.HasSuffix(r.Path, "/fim/completions") { // Mistral: what an editor completes
			return Auxiliary
		}
	case "redict":
		if strings.HasSuffix(r.Path, "/count-tokens:rawPredict") { // Anthropic on Vertex AI
			return Probe
		}
	case "tokens", "Tokens", "kenize", "ompact", "ddings", "/embed", "ations", "ptions", "/edits", "infill", "speech", "rerank", "ontent", "ntents":
		for _, p := range pathClasses {
			if strings.HasSuffix(r.Path, p.suffix) {
				return p.class
			}
		}
	}
	return Turn
}

var pathClasses = []struct {
	suffix string
	class  Class
}{
	{"/count_tokens", Probe},             // Anthropic
	{":countTokens", Probe},              // Gemini
	{"/count-tokens", Probe},             // Bedrock
	{"/responses/input_tokens", Probe},   // OpenAI
	{"/responses/compact", Compaction},   // OpenAI
	{":computeTokens", Probe},            // Vertex AI
	{"/tokenize", Probe},                 // vLLM, llama.cpp
	{"/detokenize", Probe},               // vLLM, llama.cpp
	{"/infill", Auxiliary},               // llama.cpp: what an editor completes
	{"/embeddings", Auxiliary},           // OpenAI and others
	{"/embed", Auxiliary},                // Ollama, Cohere
	{"/rerank", Auxiliary},               // Cohere, vLLM
	{"/moderations", Auxiliary},          // OpenAI
	{"/images/generations", Auxiliary},   // OpenAI
	{"/images/edits", Auxiliary},         // OpenAI
	{"/audio/speech", Auxiliary},         // OpenAI
	{"/audio/transcriptions", Auxiliary}, // OpenAI
	{"/audio/translations", Auxiliary},   // OpenAI
	{":embedContent", Auxiliary},         // Gemini
	{":batchEmbedContents", Auxiliary},   // Gemini
}

// claudeClass returns what Claude Code says of a request of that agent, "" if it is of
// the main one.
func (r *Request) claudeClass(agent string) Class {
	switch r.header("X-Claude-Code-Request-Class") { // 2.1.273 and later, if asked for
	case "subagent", "workflow":
		return Subagent
	case "compaction":
		return Compaction
	case "auxiliary":
		return Auxiliary
	}
	if r.header("X-Claude-Code-Compaction") != "" {
		return Compaction
	}
	if agent != "" {
		return Subagent
	}
	return Turn
}

func (r *Request) codexClass() Class {
	var metadata string
	if v := r.values("X-Codex-Turn-Metadata"); len(v) > 0 && alike(v) {
		metadata = v[0]
	}
	return codexClass(r.header("X-Openai-Subagent"), metadata)
}

// codexClass returns the class of a request of that kind of sub-agent and with that
// metadata of a turn, which is JSON.
func codexClass(subagent, metadata string) Class {
	switch subagent {
	case "":
	case "compact":
		return Compaction
	case "memory_consolidation":
		return Auxiliary
	default: // review, collab_spawn and whatever a fork calls its own
		return Subagent
	}
	if metadata != "" && len(metadata) < maxRaw {
		switch kind, _ := text(lastMember([]byte(metadata), "request_kind")); kind {
		case "prewarm":
			return Probe
		case "compaction":
			return Compaction
		case "memory":
			return Auxiliary
		}
	}
	return Turn
}

// bodyCodexClass is codexClass for the body's client_metadata.
func bodyCodexClass(metadata []byte) Class {
	subagent, _ := text(lastMember(metadata, "x-openai-subagent"))
	turn, _ := text(lastMember(metadata, "x-codex-turn-metadata"))
	return codexClass(subagent, turn)
}

func (r *Request) copilotClass() Class {
	switch r.header("X-Interaction-Type") {
	case "conversation-subagent":
		return Subagent
	case "conversation-compaction":
		return Compaction
	case "conversation-background":
		return Auxiliary
	}
	return Turn
}

// Openings of side calls. Each is long enough not to be met with by chance, and none
// begins with another.
var (
	systemOpenings = sorted([]opening{
		{"You are naming a coding session", Auxiliary},                                                             // Claude Code
		{"Generate a concise, sentence-case title", Auxiliary},                                                     // Claude Code
		{"Analyze if this message indicates a new conversation topic", Auxiliary},                                  // Claude Code
		{"A user kicked off a Claude Code agent to do a coding task", Auxiliary},                                   // Claude Code
		{"You are a security monitor for autonomous AI coding agents", Auxiliary},                                  // Claude Code
		{"You are evaluating a hook condition in Claude Code", Auxiliary},                                          // Claude Code
		{"You are evaluating a stop-condition hook in Claude Code", Auxiliary},                                     // Claude Code
		{"You are selecting memories that will be useful to Claude Code", Auxiliary},                               // Claude Code
		{"Generate a short kebab-case name (2-4 words)", Auxiliary},                                                // Claude Code
		{"You are an agent for Claude Code", Subagent},                                                             // Claude Code
		{"You are a file search specialist for Claude Code", Subagent},                                             // Claude Code
		{"You are a software architect and planning specialist for Claude Code", Subagent},                         // Claude Code
		{"You are a web-reading specialist for Claude Code", Subagent},                                             // Claude Code
		{"You will generate a short title", Auxiliary},                                                             // Crush
		{"You are a title generator", Auxiliary},                                                                   // OpenCode
		{"Generate a short title (four words or less)", Auxiliary},                                                 // Goose
		{"Generate a concise session title", Auxiliary},                                                            // kimi-cli
		{"Generate a very short title (3-6 words) for a coding session", Auxiliary},                                // Oh-my-pi
		{"Generate concise conversation titles.", Auxiliary},                                                       // gptme
		{"You are an expert in crafting pithy titles", Auxiliary},                                                  // Copilot Chat, CodeCompanion
		{"You are Title Generator, an expert assistant", Auxiliary},                                                // Forge
		{"You are a chat thread titling assistant", Auxiliary},                                                     // HuggingChat
		{"You are a conversation title generator", Auxiliary},                                                      // Letta Code
		{"You are an AI conversation titles assistant", Auxiliary},                                                 // big-AGI
		{"You are a helpful assistant that generates concise, descriptive titles", Auxiliary},                      // OpenHands
		{"You are a specialized Task Routing AI", Auxiliary},                                                       // Gemini CLI
		{"You are a diagnostic agent that determines whether a conversational AI", Auxiliary},                      // Gemini CLI
		{"You are a context routing agent for a coding AI session", Auxiliary},                                     // Gemini CLI
		{"You are an expert Context Memory Manager", Auxiliary},                                                    // Gemini CLI
		{"You are an expert code-editing assistant specializing in debugging and correcting failed", Auxiliary},    // Gemini CLI
		{"You are an expert code-editing assistant. Your task is to analyze a failed edit attempt", Auxiliary},     // Gemini CLI
		{"You name chat sessions.", Auxiliary},                                                                     // Hermes
		{"You are a workspace naming assistant", Auxiliary},                                                        // Mux
		{"You are a helpful AI assistant tasked with summarizing conversations", Compaction},                       // Claude Code, Roo Code
		{"You are a specialized system component responsible for distilling", Compaction},                          // Gemini CLI
		{"You are the component that summarizes internal chat history", Compaction},                                // Gemini CLI before, Qwen Code
		{"You are an expert context compressor", Compaction},                                                       // Gemini CLI
		{"You are running a compaction/summarization pass", Compaction},                                            // Mux
		{"You are a conversation summarizer. Produce", Compaction},                                                 // Microsoft Agent Framework
		{"You are an anchored context summarization assistant", Compaction},                                        // OpenCode
		{"You are a context summarization assistant", Compaction},                                                  // pi, Oh-my-pi
		{"You are a helpful assistant that compacts conversation context", Compaction},                             // kimi-cli
		{"The following messages are being evicted from the BEGINNING of your context window", Compaction},         // Letta Code
		{"You are an agent for Crush", Subagent},                                                                   // Crush
		{"You are a web content analysis agent for Crush", Subagent},                                               // Crush
		{"You are **Codebase Investigator**, a hyper-specialized AI agent", Subagent},                              // Gemini CLI
		{"You are an AI suggestion generator for an AI powered search engine", Auxiliary},                          // Perplexica
		{"You are summarizing a conversation to preserve context", Compaction},                                     // Crush
		{"## Task Context\n- An llm context limit was reached", Compaction},                                        // Goose
		{"Your task is to create a comprehensive, detailed summary of the entire conversation", Compaction},        // Copilot Chat
		{"You are an expert coding assistant. Your goal is to generate a concise, structured summary", Compaction}, // Avante
	})
	personOpenings = sorted([]opening{
		{"Please write a 5-10 word title", Auxiliary},                                                       // Claude Code
		{"The user stepped away and is coming back", Auxiliary},                                             // Claude Code
		{"You are now acting as the memory extraction subagent", Auxiliary},                                 // Claude Code
		{"Summarize this portion of a Claude Code session transcript", Auxiliary},                           // Claude Code
		{"Based on the chat history, give this conversation a name", Auxiliary},                             // Chatbox
		{"Generate a concise title for the following content", Auxiliary},                                   // Crush
		{"Generate a title for this conversation", Auxiliary},                                               // OpenCode
		{"Generate a concise 3-7 word title for this conversation", Auxiliary},                              // Zed
		{"Provide a concise, 5-word-or-less title for the conversation", Auxiliary},                         // LibreChat
		{"使用四到五个字直接返回这句话的简要主题", Auxiliary},                                                                  // NextChat
		{"Create a concise, 3-6 word title.", Auxiliary},                                                    // aichat
		{"Please generate a four to five word title summarizing our conversation", Auxiliary},               // NextChat
		{"Generate a concise title (max 5 words) for this conversation", Auxiliary},                         // Copilot for Obsidian
		{"Given the following conversation and a follow up question, rephrase", Auxiliary},                  // LangChain
		{"Summarize this file in 2-3 sentences. Be technical and specific", Auxiliary},                      // Gemini CLI
		{"### Task:\nGenerate a concise", Auxiliary},                                                        // Open WebUI: titles
		{"### Task:\nGenerate 1-3 broad tags", Auxiliary},                                                   // Open WebUI
		{"### Task:\nGenerate a detailed prompt for am image", Auxiliary},                                   // Open WebUI, to the letter
		{"### Task:\nSuggest 3-5 relevant follow-up", Auxiliary},                                            // Open WebUI
		{"### Task:\nAnalyze the chat history to determine", Auxiliary},                                     // Open WebUI: queries for a search
		{"### Task:\nYou are an autocompletion system", Auxiliary},                                          // Open WebUI
		{"[SUGGESTION MODE:", Auxiliary},                                                                    // Claude Code
		{"Web page content:", Auxiliary},                                                                    // Claude Code
		{"Analyze *only* the content and structure of your immediately preceding", Auxiliary},               // Gemini CLI: who speaks next
		{"Summarize the user's primary intent or goal in this conversation", Auxiliary},                     // Gemini CLI
		{"CRITICAL: Respond with TEXT ONLY", Compaction},                                                    // Claude Code
		{"Your task is to create a detailed summary of the conversation so far", Compaction},                // Claude Code
		{"Your task is to create a detailed summary of the RECENT portion of the conversation", Compaction}, // Claude Code
		{"Analyze the following conversation and create a structured summary that preserves", Compaction},   // CrewAI
		{"You are performing a CONTEXT CHECKPOINT COMPACTION", Compaction},                                  // Codex, Mistral Vibe
		{"Provide a detailed prompt for continuing our conversation above", Compaction},                     // OpenCode before
		{"Provide a detailed summary of our conversation above", Compaction},                                // Crush
		{"Create a comprehensive summary of this conversation that captures", Compaction},                   // Continue
		{"Please provide a concise summary of our conversation so far, capturing", Compaction},              // Continue CLI
		{"You are maintaining a context-aware state summary", Compaction},                                   // OpenHands
		{"You are a summarization agent creating a context checkpoint", Compaction},                         // Hermes
		{"### State Update: Agent Continuity", Compaction},                                                  // Gemini CLI
		{"<role>\nContext Extraction Assistant", Compaction},                                                // LangChain, Deep Agents
		{"Progressively summarize the lines of conversation provided", Compaction},                          // LangChain before
		{"Based on our full conversation history, produce a concise summary", Compaction},                   // AstrBot
		{"Summarize this conversation for a new Assistant", Compaction},                                     // Mux
		{"Summarize the discussion briefly in 200 words", Compaction},                                       // aichat
	})
)

type opening struct {
	text  string
	class Class
}

func sorted(openings []opening) []opening {
	slices.SortFunc(openings, func(a, b opening) int { return strings.Compare(a.text, b.text) })
	return openings
}

// probes are the whole text of probing calls that want a single token: of a greeting
// nobody wants that.
var probes = map[string]bool{
	"quota": true, "count": true, "warmup": true, "test": true, "testing": true, "probe": true, "ping": true, ".": true,
	"hi": true, "hello": true, "hey": true,
}

// bodyClass looks for the openings in the system prompt and in what a person
// last said.
func (r *Request) bodyClass() Class {
	r.index.talkative.Store(true)
	if !r.read() {
		return Turn
	}
	if raw := r.get(clientMetadataField); raw != nil {
		if c := bodyCodexClass(raw); c != Turn {
			return c
		}
	}
	t := r.trail()
	if t.silent() && (strings.HasSuffix(r.Path, "/api/generate") || strings.HasSuffix(r.Path, "/api/chat")) && r.loads() {
		return Probe
	}
	alone := t.texts == 1 && !t.answered && !r.delta()
	otherwise := Turn
	for _, system := range []*setting{&t.system, &t.opening} {
		if system.subagent {
			otherwise = Subagent
		}
		for _, text := range system.texts[:system.n] {
			c, ok := match(systemOpenings, text)
			if !ok && alone {
				c = wish(text)
				ok = c != Turn && !r.hasTools()
			}
			switch {
			case ok && c == Subagent, !ok && subagent(text):
				otherwise = Subagent // unless it is a side call of its own
			case ok:
				return c
			}
		}
	}
	if t.compacts {
		return Compaction
	}
	if c, ok := match(personOpenings, t.lastWords); ok {
		return c
	}
	if titleOfThis(t.lastWords) && !r.hasTools() {
		return Auxiliary
	}
	if alone {
		words := strings.ToLower(string(t.lastWords))
		if words == "warmup" || probes[words] && r.wantsOneToken() {
			return Probe
		}
	}
	return otherwise
}

// loads reports whether a body without words wants nothing of Ollama but to load a model, or
// to unload it. Others have their own requests, with words of their own, at such paths.
func (r *Request) loads() bool {
	model := false
	c := jsonscan.New(r.Body)
	for c.Object(); ; c.Skim() {
		name, ok := c.Key()
		if !ok {
			return model && r.messages() == nil
		}
		switch string(name) {
		case "model":
			model = true
		case "messages", "prompt", "keep_alive", "stream", "options":
		default:
			return false
		}
	}
}

func match(openings []opening, raw []byte) (Class, bool) {
	var buf [maxOpening]byte
	words := opened(raw, buf[:0])
	// What words begin with is the last opening that is not behind them.
	i, n := 0, len(openings)
	for i < n { // slices.BinarySearchFunc would have the buffer on the heap
		if m := (i + n) / 2; openings[m].text <= string(words) {
			i = m + 1
		} else {
			n = m
		}
	}
	if i > 0 && bytes.HasPrefix(words, []byte(openings[i-1].text)) {
		return openings[i-1].class, true
	}
	return Turn, false
}

// hasTools reports whether a model may call anything.
func (r *Request) hasTools() bool {
	return slices.ContainsFunc(toolFields, func(f field) bool {
		c := jsonscan.New(r.get(f))
		return c.Kind() == '{' || c.Array() && c.Element()
	})
}

// words are some lists of words, in lower case.
type words [][]string

var (
	titleWords = words{
		{" title", "-title"},
		{"generat", "creat", "writ", "summar", "coming up with"},
		{"conversation", "session", "thread", "chat ", "chats"},
	}
	chineseTitleWords = words{
		{"标题"},
		{"会话标题", "对话标题", "聊天标题", "会话的标题", "对话的标题", "聊天的标题", "总结给出的会话", "总结会话", "总结对话", "对话内容", "会话内容", "聊天内容"},
	}
	commitWords = words{
		{"commit message"},
		{"generat", "creat", "writ", "summar"},
	}
	// What is said beside a summary of a conversation that is one with a model, or goes on.
	summaryWords = words{
		{"so far", "an ai ", "ai assistant", "another llm", "preserv", "context", "continu", "histor", "older", "earlier", "previous"},
	}
)

// in reports whether a text has one word of each list.
func (ws words) in(text []byte) bool {
	for _, wanted := range ws {
		if !slices.ContainsFunc(wanted, func(w string) bool { return bytes.Contains(text, []byte(w)) }) {
			return false
		}
	}
	return true
}

// wish returns what a system prompt, given as it opens, wants of a model that is to do
// nothing else, as many applications do in words of their own: the title of a conversation,
// a message for a commit, a summary that takes the place of a conversation. One that has
// these written for something else loses little: no call after the first is without an
// answer, unless it goes on from state on the server.
func wish(raw []byte) Class {
	title, chinese := bytes.Contains(raw, []byte("itle")), bytes.Contains(raw, []byte("标题"))
	commit, summary := bytes.Contains(raw, []byte("ommit m")), summarises(raw)
	if !title && !chinese && !commit && !summary { // as most
		return Turn
	}
	var buf [maxOpening]byte
	text := bytes.ToLower(opened(raw, buf[:0]))
	switch {
	case title && titleWords.in(text), chinese && chineseTitleWords.in(text), commit && commitWords.in(sentence(text)):
		return Auxiliary
	case summary && summaryWords.in(text):
		return Compaction
	}
	return Turn
}

// summarises reports whether the first sentence is of making a conversation shorter: has
// both within a few words. A summary that was made before is a part of many prompts.
func summarises(raw []byte) bool {
	const near = 46
	first := sentence(raw[:min(len(raw), 200)])
	for _, verb := range []string{"ummariz", "ummaris", "ummaries of", "ompress", "ondens"} {
		before, behind, ok := bytes.Cut(first, []byte(verb))
		if !ok || bytes.HasPrefix(behind, []byte("ed")) {
			continue
		}
		behind = behind[:min(len(behind), near)]
		if bytes.HasSuffix(before, []byte("onversation s")) || bytes.Contains(behind, []byte("onversation")) || bytes.Contains(behind, []byte("chat history")) {
			return true
		}
	}
	return false
}

// sentence returns the first sentence of a text, plain or not: what comes behind is about
// how the model is to speak, with anybody.
func sentence(text []byte) []byte {
	for i := range len(text) - 1 {
		if text[i] == '.' && (text[i+1] == ' ' || text[i+1] == '\n' || text[i+1] == '\\') {
			return text[:i]
		}
	}
	return text
}

// subagent reports whether a system prompt, given as it opens, says to the model that it is
// a sub-agent: "You are a focused, read-only sub-agent".
func subagent(raw []byte) bool {
	const longest = 80
	raw, ok := bytes.CutPrefix(trimStart(raw), []byte("You are "))
	if !ok {
		return false
	}
	who, behind, ok := bytes.Cut(raw[:min(len(raw), longest)], []byte("sub-agent"))
	if !ok {
		who, behind, ok = bytes.Cut(raw[:min(len(raw), longest)], []byte("subagent"))
	}
	return ok && !ofOthers.in(who) && !slices.ContainsFunc(aboutOthers, func(w string) bool { return bytes.HasPrefix(behind, []byte(w)) })
}

// ofOthers are words, and ends of sentences, in front of a sub-agent that is somebody else,
// and aboutOthers are what comes behind where one has to do with such.
var (
	ofOthers = words{{" that ", " who ", " whose ", " which ", " with ", " to ", " for ", " of ", "not a ", " not ", " each ", " every ",
		" by ", " using ", ". ", ": ", `\n`}}
	aboutOthers = []string{"s", "-", " orchestr", " coordin", " manage", " delegat"}
)

// titleOfThis reports whether a person's words, given as they open, want a title for the
// conversation they are in, and say how long: clients write so, and hardly anybody else.
func titleOfThis(raw []byte) bool {
	i := bytes.Index(raw, []byte(" title"))
	if i < 0 || i > 100 { // as most
		return false
	}
	var buf [maxOpening]byte
	text := bytes.ToLower(opened(raw, buf[:0]))
	_, behind, _ := bytes.Cut(text, []byte(" title"))
	if rest, ok := bytes.CutPrefix(behind, []byte(" (")); ok { // of so many words
		_, behind, _ = bytes.Cut(rest, []byte(")"))
	}
	what, ok := bytes.CutPrefix(behind, []byte(" for "))
	return ok && titleLengths.in(text) && slices.ContainsFunc(titled, func(t string) bool { return bytes.HasPrefix(what, []byte(t)) })
}

var (
	titleLengths = words{
		{"word", "character", "concise", "short", "brief"},
		{"generat", "creat", "writ", "provid", "suggest", "reply", "give", "summar"},
	}
	titled = []string{
		"this conversation", "our conversation", "the conversation", "the following conversation", "a conversation that", "a chat conversation",
		"this chat.", "this chat:", "this chat\n", "this chat session", "this chat based", "the chat that",
	}
)

// opened appends to buf how a text opens, given as it stands between its quotes.
func opened(raw, buf []byte) []byte {
	return jsonscan.AppendText(buf, trimStart(raw[:min(len(raw), 200)]))
}

func (r *Request) wantsOneToken() bool {
	for _, name := range []string{"max_tokens", "max_completion_tokens", "max_output_tokens"} {
		if string(r.member(name)) == "1" {
			return true
		}
	}
	return false
}

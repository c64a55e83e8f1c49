// Command componentize makes a component of the connector in the current folder.
//
//	go run deputy/kit/componentize -o oauth2.wasm -world deputy:go/described-provider
//
// The folder holds a Go module whose package exports `New() kit.Provider` or `New() kit.Receiver`, and `Description` for a world
// that includes `describes-itself`. Needed on the path: wit-bindgen and
// wasm-tools; and in -adapter the adapter for programs of WASI 0.1 that serve HTTP (`wasi_snapshot_preview1.proxy.wasm`),
// which knows neither files nor an environment.
package main

import (
	"embed"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

func main() {
	_, source, _, _ := runtime.Caller(0)
	kit := filepath.Dir(filepath.Dir(source))
	output := flag.String("o", "provider.wasm", "the component to write")
	world := flag.String("world", "delegation:tokens/token-provider", "the world that the provider has")
	contract := flag.String("wit", filepath.Join(kit, "../../wit"), "the folder with the contract")
	own := flag.String("own-wit", filepath.Join(kit, "wit"), "a folder with a world of your own, instead of the kit's")
	adapter := flag.String("adapter", filepath.Join(kit, "wasi_snapshot_preview1.proxy.wasm"), "the adapter")
	flag.Parse()
	if err := build(kit, *output, *world, *contract, *own, *adapter); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

//go:embed glue
var glue embed.FS

func build(kit, output, world, contract, own, adapter string) error {
	for _, tool := range []string{"wit-bindgen", "wasm-tools"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%s is not on the path: README.md says how it is installed", tool)
		}
	}
	work, err := os.MkdirTemp("", "provider-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	author, err := said("go", "list", "-m")
	if err != nil {
		return err
	}
	here, err := os.Getwd()
	if err != nil {
		return err
	}
	// The kit's bindings of WASI are a library, those of the contract are the program that is built.
	library, program := filepath.Join(work, "kit"), filepath.Join(work, "program")
	if err := os.CopyFS(library, os.DirFS(kit)); err != nil {
		return err
	}
	client := filepath.Join(kit, "../wit")
	generate := []string{"go", "-w", "deputy:kit/http-client", client, "--pkg-name", "deputy/kit", "--out-dir", library}
	if err := run(work, "wit-bindgen", generate...); err != nil {
		return err
	}
	generate = []string{"go", "-w", world, "--out-dir", program, contract, own}
	if err := run(here, "wit-bindgen", generate...); err != nil {
		return err
	}
	if err := join(program, author); err != nil {
		return err
	}
	for module, folder := range map[string]string{
		"go.bytecodealliance.org/pkg": filepath.Join(kit, "wit-runtime"), "deputy/kit": library, author: here,
	} {
		if err := run(program, "go", "mod", "edit", "-require", module+"@v0.0.0", "-replace", module+"="+folder); err != nil {
			return err
		}
	}
	core := filepath.Join(work, "core.wasm")
	compile := []string{"build", "-mod=mod", "-trimpath", "-buildmode=c-shared", "-ldflags=-s -w", "-o", core, "."}
	if err := run(program, "go", compile...); err != nil {
		return err
	}
	// One section for each world. `component new` merges them and drops what is not called.
	embedded := filepath.Join(work, "wit")
	if err := gather(embedded, own, contract); err != nil {
		return err
	}
	if err := run(work, "wasm-tools", "component", "embed", "-w", world, embedded, core, "-o", core); err != nil {
		return err
	}
	if err := run(work, "wasm-tools", "component", "embed", "-w", "deputy:kit/http-client", client, core, "-o", core); err != nil {
		return err
	}
	adapt := "wasi_snapshot_preview1=" + adapter
	return run(here, "wasm-tools", "component", "new", core, "--adapt", adapt, "-o", output)
}

// gather makes one folder of WIT, as `wasm-tools component embed` wants it: what is depended on lies under deps/.
func gather(folder, own, depended string) error {
	if err := os.CopyFS(folder, os.DirFS(own)); err != nil {
		return err
	}
	return os.CopyFS(filepath.Join(folder, "deps/contract"), os.DirFS(depended))
}

// join writes what joins the generated code to the author's package and to the kit, for each interface of the world.
func join(program, author string) error {
	generated, err := os.ReadFile(filepath.Join(program, "wit_exports.go"))
	if err != nil {
		return err
	}
	return fs.WalkDir(glue, "glue", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name := filepath.Base(filepath.Dir(path))
		if strings.HasPrefix(name, "export_") && !strings.Contains(string(generated), name) {
			return nil
		}
		if imported, found := strings.CutPrefix(name, "import_"); found {
			if _, err := os.Stat(filepath.Join(program, imported)); err != nil {
				return nil
			}
			link := "package main\n\nimport _ \"wit_component/" + name + "\"\n"
			if err := os.WriteFile(filepath.Join(program, name+".go"), []byte(link), 0o644); err != nil {
				return err
			}
		}
		text, err := glue.ReadFile(path)
		if err != nil {
			return err
		}
		folder := filepath.Join(program, name)
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
		joined := strings.ReplaceAll(string(text), `"AUTHOR"`, `"`+author+`"`)
		return os.WriteFile(filepath.Join(folder, filepath.Base(path)), []byte(joined), 0o644)
	})
}

func said(program string, arguments ...string) (string, error) {
	output, err := exec.Command(program, arguments...).Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w", program, err)
	}
	return strings.TrimSpace(string(output)), nil
}

// run runs a program and shows what it printed if it fails.
func run(folder, program string, arguments ...string) error {
	command := exec.Command(program, arguments...)
	command.Dir = folder
	command.Env = append(os.Environ(), "GOFLAGS=")
	if program == "go" && arguments[0] == "build" {
		command.Env = append(command.Env, "GOOS=wasip1", "GOARCH=wasm")
	}
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", program, strings.Join(arguments, " "), err, output)
	}
	return nil
}

"""What scripts/check-deploy asks of the deployment files beyond their schemas: that one
part fits the other. A schema does not know that a Service has to find its pods.

Each of the functions at the end is a word of the command line. Whatever is wrong is said
in a line, and makes the exit code 1.
"""

import json
import pathlib
import re
import sys
import zoneinfo
from datetime import datetime, timedelta

import yaml

SLOTS = {"morning": 8, "afternoon": 14, "evening": 20, "night": 23}
# preStop comes before; then ten seconds for requests and eight for what they left behind.
STOP_OF_API, STOP_OF_WORKER = 18, 10

wrong = []


def expect(good, message):
    if not good:
        wrong.append(message)


def hours_to_next(slot):
    hours = sorted(SLOTS.values())
    following = hours[(hours.index(SLOTS[slot]) + 1) % len(hours)]
    return (following - SLOTS[slot]) % 24


# Kubernetes


def read(path):
    # The C library's, where the wheel has it: a tenth of the time.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return list(yaml.load_all(pathlib.Path(path).read_text(), loader))


def pod_of(document):
    spec = document["spec"]
    if document["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    return spec.get("template")


def is_selected(selector, labels):
    return selector.items() <= labels.items()


def pods_are_sound(documents, secrets, name):
    pods = {
        f"{document['kind']}/{document['metadata']['name']}": pod_of(document)
        for document in documents
        if document["kind"] in ("Deployment", "Job", "CronJob")
    }
    settings = {d["metadata"]["name"] for d in documents if d["kind"] == "ConfigMap"}
    accounts = {d["metadata"]["name"] for d in documents if d["kind"] == "ServiceAccount"}
    images = set()
    for where, pod in pods.items():
        where, spec = f"{name}: {where}", pod["spec"]
        context = spec.get("securityContext", {})
        expect(context.get("runAsNonRoot") is True, f"{where} may run as root")
        expect(context.get("seccompProfile") == {"type": "RuntimeDefault"}, f"{where} has no seccomp profile")
        expect(spec.get("automountServiceAccountToken") is False, f"{where} is given a token")
        expect(spec.get("serviceAccountName") in accounts, f"{where} has no account of ours")
        authority = {"name": "database-ca", "configMap": {"name": "whoop-database-ca"}}
        expect(spec.get("volumes", [authority]) == [authority], f"{where} has volumes of which this knows nothing")
        for container in spec["containers"]:
            context = container.get("securityContext", {})
            expect(context.get("allowPrivilegeEscalation") is False, f"{where} may become more")
            expect(context.get("readOnlyRootFilesystem") is True, f"{where} may write")
            expect(context.get("capabilities") == {"drop": ["ALL"]}, f"{where} has capabilities")
            resources = container.get("resources", {})
            expect({"cpu", "memory"} <= resources.get("requests", {}).keys(), f"{where} asks for nothing")
            expect("memory" in resources.get("limits", {}), f"{where} has no bound of memory")
            expect(not container.get("env"), f"{where} has values of its own; they belong in the settings")
            images.add(container["image"])
            for source in container["envFrom"]:
                if "configMapRef" in source:
                    expect(source["configMapRef"]["name"] in settings, f"{where} wants unknown settings")
                else:
                    secret = source["secretRef"]["name"]
                    expect(secret in secrets, f"{where}: the page does not name the Secret {secret}")
    expect(len(images) == 1, f"{name}: several images: {images}")
    for image in images:
        expect(re.search(r":\d[\w.-]*$", image), f"{name}: {image} has no version")
    return pods


def runs_are_sound(documents, name):
    jobs = {d["metadata"]["name"]: d["spec"] for d in documents if d["kind"] == "CronJob"}
    expect(jobs.keys() == {f"whoop-sync-{slot}" for slot in SLOTS}, f"{name}: not the four slots: {sorted(jobs)}")
    for slot, hour in SLOTS.items():
        cron = jobs.get(f"whoop-sync-{slot}")
        if not cron:
            continue
        where, job = f"{name}: {slot}", cron["jobTemplate"]["spec"]
        pod = job["template"]["spec"]
        container = pod["containers"][0]
        expect(cron["schedule"] == f"0 {hour} * * *", f"{where} is not at {hour}")
        expect(container["args"] == ["run", "--slot", slot], f"{where} is another slot")
        expect(cron["concurrencyPolicy"] == "Forbid", f"{where} may run twice")
        expect(0 < cron["startingDeadlineSeconds"] <= 7200, f"{where} starts whenever")
        zone = cron["timeZone"]
        expect(zone in zoneinfo.available_timezones(), f"{where}: there is no zone {zone}")
        expect(job["activeDeadlineSeconds"] < hours_to_next(slot) * 3600, f"{where} runs into the next slot")
        expect(pod["restartPolicy"] == "Never", f"{where}: a failed pod would be started anew, whatever the policy says")
        expect(pod["terminationGracePeriodSeconds"] > STOP_OF_WORKER, f"{where} is killed before it has stopped")
        first, *others = job["podFailurePolicy"]["rules"]
        expect(
            first == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
            f"{where}: a drained node must not count, before anything else",
        )
        final = {
            code
            for rule in others
            if rule["action"] == "FailJob" and rule["onExitCodes"]["operator"] == "In"
            and rule["onExitCodes"]["containerName"] == container["name"]
            for code in rule["onExitCodes"]["values"]
        }
        expect(final == {2, 3, 4}, f"{where}: not tried again are {sorted(final)}")


def api_is_sound(documents, pods, name):
    by_kind = {}
    for document in documents:
        by_kind.setdefault(document["kind"], []).append(document)
    deployment = by_kind["Deployment"][0]
    pod = pods["Deployment/whoop-api"]
    labels, container = pod["metadata"]["labels"], pod["spec"]["containers"][0]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    expect(is_selected(deployment["spec"]["selector"]["matchLabels"], labels), f"{name}: the Deployment knows none of its pods")
    expect("replicas" not in deployment["spec"], f"{name}: each apply would undo what the autoscaler did")
    for probe, path, port in (
        ("startupProbe", "/healthz", "operations"),
        ("livenessProbe", "/healthz", "operations"),
        ("readinessProbe", "/readyz", "http"),
    ):
        asked = container[probe]["httpGet"]
        expect(asked == {"path": path, "port": port} and port in ports, f"{name}: {probe} asks {asked}")
    pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    grace = pod["spec"]["terminationGracePeriodSeconds"]
    expect(grace >= pause + STOP_OF_API, f"{name}: {grace} s are too few to stop in")
    settings = by_kind["ConfigMap"][0]["data"]
    for setting, port in (("API_LISTEN", "http"), ("API_OPS_LISTEN", "operations")):
        expect(settings[setting].endswith(f":{ports[port]}"), f"{name}: {setting} is not the port {port}")

    service = by_kind["Service"][0]
    expect(is_selected(service["spec"]["selector"], labels), f"{name}: the Service finds no pod")
    expect(all(port["targetPort"] in ports for port in service["spec"]["ports"]), f"{name}: the Service leads to no port")
    budget = by_kind["PodDisruptionBudget"][0]["spec"]
    expect(is_selected(budget["selector"]["matchLabels"], labels), f"{name}: the budget protects nothing")
    scaler = by_kind["HorizontalPodAutoscaler"][0]["spec"]
    target = {key: deployment[key] for key in ("apiVersion", "kind")} | {"name": deployment["metadata"]["name"]}
    expect(scaler["scaleTargetRef"] == target, f"{name}: the autoscaler scales nothing")
    for monitor in by_kind.get("ServiceMonitor", []):
        selector = monitor["spec"]["selector"]["matchLabels"]
        expect(is_selected(selector, service["metadata"]["labels"]), f"{name}: the monitor finds no Service")
        expect(all(e["port"] == "operations" for e in monitor["spec"]["endpoints"]), f"{name}: the monitor asks the public port")
    for ingress in by_kind.get("Ingress", []):
        limits = ingress["metadata"]["annotations"]
        largest = limits["nginx.ingress.kubernetes.io/proxy-body-size"]
        expect(largest == "16k", f"{name}: the Ingress takes bodies of {largest}")
        for path in (path for rule in ingress["spec"]["rules"] for path in rule["http"]["paths"]):
            backend = path["backend"]["service"]
            expect(backend["name"] == service["metadata"]["name"], f"{name}: the Ingress finds no Service")
            expect(backend["port"] == {"name": "http"}, f"{name}: the Ingress leads to {backend['port']['name']}")

    policies = by_kind["NetworkPolicy"]
    reached = {
        port["port"]
        for policy in policies if policy["metadata"]["name"] == "whoop-api-from-ingress"
        for rule in policy["spec"]["ingress"]
        for port in rule["ports"]
    }
    expect(reached == {"http"}, f"{name}: an Ingress reaches {', '.join(sorted(reached))}")
    closing = [p["spec"] for p in policies if "ingress" not in p["spec"] and "egress" not in p["spec"]]
    for where, pod in pods.items():
        closed = any(
            set(p["policyTypes"]) == {"Ingress", "Egress"}
            and is_selected(p["podSelector"].get("matchLabels", {}), pod["metadata"]["labels"])
            for p in closing
        )
        expect(closed, f"{name}: {where} may talk to everybody")


def listed(folder):
    """Every file below that no kustomization names, and every name without a file."""
    named = set()
    for path in folder.rglob("kustomization.yaml"):
        named.add(path.resolve())
        built = yaml.safe_load(path.read_text())
        names = [*built.get("resources", []), *built.get("components", [])]
        names += [patch["path"] for patch in built.get("patches", []) if "path" in patch]
        names += [name for made in built.get("configMapGenerator", []) for name in made.get("envs", [])]
        for name in names:
            target = (path.parent / name).resolve()
            expect(target.exists(), f"{path}: {name} is not there")
            named.add(target)
    for path in folder.rglob("*"):
        if path.suffix in (".yaml", ".yml", ".env"):
            expect(path.resolve() in named, f"{path} is in no kustomization")


def kubernetes(root, *rendered):
    """That the parts of each overlay fit each other."""
    root = pathlib.Path(root)
    secrets = set(re.findall(r"`(whoop-[a-z-]+)`", (root / "docs/deploy.md").read_text()))
    from jsonschema import Draft202012Validator

    schema = json.loads(pathlib.Path(__file__).with_name("check-deploy.service-monitor.json").read_text())
    validator = Draft202012Validator(schema)
    for path in map(pathlib.Path, rendered):
        documents = read(path)
        kinds = [d["kind"] for d in documents]
        expect("Secret" not in kinds, f"{path.stem}: there is a secret in the repository")
        spaces = {d["metadata"].get("namespace") for d in documents if d["kind"] != "Namespace"}
        named = {d["metadata"]["name"] for d in documents if d["kind"] == "Namespace"}
        expect(spaces == named, f"{path.stem}: namespaces {spaces}, and {named} is made")
        for document in documents:
            if document["kind"] == "ServiceMonitor":
                for error in validator.iter_errors(document):
                    wrong.append(f"{path.stem}: ServiceMonitor: {error.json_path}: {error.message}")
            if document["kind"] == "CronJob":
                expect(document["spec"]["timeZone"] != "Etc/UTC", f"{path.stem}: no zone of its own was set")
        if wrong:
            return
        pods = pods_are_sound(documents, secrets, path.stem)
        runs_are_sound(documents, path.stem)
        api_is_sound(documents, pods, path.stem)
    monitored = [path for path in rendered if "kind: ServiceMonitor" in pathlib.Path(path).read_text()]
    expect(monitored, "no overlay has the ServiceMonitor")
    listed(root / "deploy/kubernetes")


def kubernetes_core(path):
    """Prints what Kubernetes itself has a schema for."""
    print(yaml.safe_dump_all(d for d in read(path) if d["apiVersion"] != "monitoring.coreos.com/v1"))


# Compose


def compose(path, settings):
    """That ports, files, hours and secrets are where they should be, and nowhere else."""
    project = json.loads(pathlib.Path(path).read_text())
    services = project["services"]
    for name, service in services.items():
        for port in service.get("ports", []):
            expect(port.get("host_ip") == "127.0.0.1", f"{name}: port {port['published']} is open to the network")
        for volume in service.get("volumes", []):
            if volume["type"] == "bind":
                # Where no authority is named, nothing is in its place.
                expect(pathlib.Path(volume["source"]).exists(), f"{name}: {volume['source']} is not there")
                expect(volume.get("read_only"), f"{name}: may write to {volume['source']}")
        expect(service.get("cap_drop") == ["ALL"] or "postgres" in name, f"{name} has capabilities")
        expect(service.get("mem_limit"), f"{name} has no limit of memory")
        expect(service.get("pids_limit"), f"{name} has no limit of processes")
        expect(service.get("logging", {}).get("options", {}).get("max-size"), f"{name}: its log may fill the disk")
        if name.endswith("api"):
            expect(service.get("ulimits", {}).get("nofile") == 65536, f"{name} has too few open files")
        if service["image"].startswith("whoop"):
            expect(service.get("read_only"), f"{name} may write")
            expect("no-new-privileges:true" in service.get("security_opt", []), f"{name} may become more")
        else:
            expect(re.search(r":v?\d", service["image"]), f"{name}: {service['image']} changes by itself")

    for slot, hour in SLOTS.items():
        command = ["-H", str(hour), "/usr/local/bin/sync-worker", "run", "--slot", slot]
        expect(services[f"worker-{slot}"]["command"] == command, f"worker-{slot}: {services[f'worker-{slot}']['command']}")

    has = {name: set(service.get("environment", {})) for name, service in services.items()}
    callers = {"AUTH_JWT_SECRET", "AUTH_JWKS_URL", "AUTH_SERVICE_KEYS"}
    passwords = {"POSTGRES_PASSWORD", "OWNER_PASSWORD", "SERVING_PASSWORD"}
    keys = {"TOKEN_KEYS", "WHOOP_CLIENT_SECRET"}
    for name, own in has.items():
        if not name.endswith("api"):
            expect(not own & callers, f"{name} knows {own & callers}")
        if "postgres" not in name:
            expect(not own & passwords, f"{name} knows {own & passwords}")
        if not name.endswith("api") and "worker" not in name:
            expect(not own & keys, f"{name} knows {own & keys}")

    # Whoever serves does not own, and the owner's password is with the migration alone.
    secret = dict(re.findall(r"^(\w+_PASSWORD)=(\w+)$", pathlib.Path(settings).read_text(), re.M))
    for name, service in services.items():
        url = service.get("environment", {}).get("DATABASE_URL")
        if url and not name.startswith("sim-"):
            role = "owner" if name == "migrate" else "serve"
            password = secret["OWNER_PASSWORD" if name == "migrate" else "SERVING_PASSWORD"]
            expect(f"//whoop_{role}:{password}@" in url, f"{name}: not as whoop_{role}")


# The bare machine


def cron(path):
    """Prints the command of each line, once its hour and its slot are known to fit."""
    from cronsim import CronSim

    seen = {}
    for line in pathlib.Path(path).read_text().splitlines():
        if not re.match(r"[\d*]", line):
            continue
        *schedule, command = line.split(None, 5)
        expect("%" not in command, f"cron reads % as an end of line: {line}")
        slot = re.search(r"sync-worker run --slot (\w+)", command)
        times = CronSim(" ".join(schedule), datetime(2026, 1, 1))
        first, second = next(times), next(times)
        expect(second - first == timedelta(days=1) and first.minute == 0, f"not once a day: {line}")
        seen[slot and slot[1]] = first.hour
        print(command)
    expect(seen == SLOTS, f"the hours are {seen}")


def systemd(folder):
    """That the timers have the four hours, and that exit codes mean what the page says."""
    folder = pathlib.Path(folder)
    hours = {}
    for path in folder.glob("whoop-sync@*.timer"):
        text = path.read_text()
        hours[path.stem.partition("@")[2]] = int(re.search(r"^OnCalendar=\*-\*-\* (\d\d):00:00$", text, re.M)[1])
        expect("\nPersistent=true\n" in text, f"{path.name} forgets what the machine slept through")
    expect(hours == SLOTS, f"the hours are {hours}")
    expect("\nLimitNOFILE=65536\n" in (folder / "whoop-api.service").read_text(), "whoop-api.service without LimitNOFILE=65536")
    run = (folder / "whoop-sync@.service").read_text()
    for setting in ("SuccessExitStatus=4", "Restart=on-failure", "RestartPreventExitStatus=2 3",
                    "ExecStart=/usr/local/bin/sync-worker run --slot %i"):
        expect(f"\n{setting}\n" in run, f"whoop-sync@.service without {setting}")


# The image


def context(root):
    """Prints what .dockerignore lets through, as Docker's own library reads it."""
    from docker.utils import exclude_paths

    patterns = (pathlib.Path(root) / ".dockerignore").read_text().splitlines()
    patterns = [pattern for pattern in patterns if pattern and not pattern.startswith("#")]
    # Docker adds these two for itself; no COPY sees them.
    paths = exclude_paths(root, patterns) - {".dockerignore", "Dockerfile"}
    sys.stdout.write("".join(f"{path}\0" for path in sorted(paths)))


def sbom(path):
    """That it is CycloneDX, and that what depends on something depends on what is listed."""
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    text = pathlib.Path(path).read_text()
    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    expect(error is None, f"{error}"[:500])
    document = json.loads(text)
    components = {c["bom-ref"]: c for c in document["components"]}
    known = components.keys() | {document["metadata"]["component"]["bom-ref"]}
    for one in document["dependencies"]:
        unknown = {one["ref"], *one["dependsOn"]} - known
        expect(not unknown, f"{one['ref']} depends on what is not listed: {unknown}")
    for expected in ("pkg:cargo/actix-web@", "pkg:cargo/tokio-postgres@", "pkg:npm/uplot@"):
        expect(any(ref.startswith(expected) for ref in components), f"{expected}… is not listed")
    for ref, component in components.items():
        expect("hashes" in component or ref.startswith("pkg:cargo/whoop-"), f"{ref} has no hash")
        expect(component.get("licenses"), f"{ref} has no licence")
    print(f"{len(components)} parts")


if __name__ == "__main__":
    words = {"kubernetes": kubernetes, "kubernetes-core": kubernetes_core, "compose": compose,
             "cron": cron, "systemd": systemd, "context": context, "sbom": sbom}
    words[sys.argv[1]](*sys.argv[2:])
    for line in wrong:
        print(line, file=sys.stderr)
    sys.exit(1 if wrong else 0)

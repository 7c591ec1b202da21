"""The checks of scripts/check-deploy that schemas cannot express: that the parts of the
deployment files fit each other, for example that a Service selects its pods.

The first argument names a check (see the end of this file). Each error is one line on
standard error; with an error the exit code is 1.
"""

import json
import pathlib
import re
import sys
import zoneinfo
from datetime import datetime, timedelta

import yaml

SLOTS = {"morning": 8, "afternoon": 14, "evening": 20, "night": 23}
# Seconds that a program needs to stop. The API, after preStop: ten for requests in flight and eight
# for token refreshes that these started.
API_STOP_SECONDS, WORKER_STOP_SECONDS = 18, 10

errors = []


def expect(condition, message):
    if not condition:
        errors.append(message)


def hours_to_next(slot):
    hours = sorted(SLOTS.values())
    following = hours[(hours.index(SLOTS[slot]) + 1) % len(hours)]
    return (following - SLOTS[slot]) % 24


# Kubernetes


def read(path):
    # The loader of the C library takes a tenth of the time, but not every wheel has it.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return list(yaml.load_all(pathlib.Path(path).read_text(), loader))


def pod_of(document):
    spec = document["spec"]
    if document["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    return spec.get("template")


def is_selected(selector, labels):
    return selector.items() <= labels.items()


def check_pods(documents, secrets, name):
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
        expect(spec.get("automountServiceAccountToken") is False, f"{where} gets a Kubernetes token")
        expect(spec.get("serviceAccountName") in accounts, f"{where} does not use the service account of this overlay")
        authority = {"name": "database-ca", "configMap": {"name": "whoop-database-ca"}}
        expect(spec.get("volumes", [authority]) == [authority], f"{where} has unexpected volumes")
        for container in spec["containers"]:
            context = container.get("securityContext", {})
            expect(context.get("allowPrivilegeEscalation") is False, f"{where} may gain privileges")
            expect(context.get("readOnlyRootFilesystem") is True, f"{where} may write to its root file system")
            expect(context.get("capabilities") == {"drop": ["ALL"]}, f"{where} has capabilities")
            resources = container.get("resources", {})
            expect({"cpu", "memory"} <= resources.get("requests", {}).keys(), f"{where} requests no CPU or no memory")
            expect("memory" in resources.get("limits", {}), f"{where} has no memory limit")
            expect(not container.get("env"), f"{where} has environment variables of its own; put them into the settings")
            images.add(container["image"])
            for source in container["envFrom"]:
                if "configMapRef" in source:
                    expect(source["configMapRef"]["name"] in settings, f"{where} uses a ConfigMap that does not exist")
                else:
                    secret = source["secretRef"]["name"]
                    expect(secret in secrets, f"{where}: docs/deploy.md does not name the Secret {secret}")
    expect(len(images) == 1, f"{name}: several images: {images}")
    for image in images:
        expect(re.search(r":\d[\w.-]*$", image), f"{name}: {image} has no version")
    return pods


def check_runs(documents, name):
    jobs = {d["metadata"]["name"]: d["spec"] for d in documents if d["kind"] == "CronJob"}
    expect(jobs.keys() == {f"whoop-sync-{slot}" for slot in SLOTS}, f"{name}: the CronJobs are not those of the four slots: {sorted(jobs)}")
    for slot, hour in SLOTS.items():
        cron = jobs.get(f"whoop-sync-{slot}")
        if not cron:
            continue
        where, job = f"{name}: {slot}", cron["jobTemplate"]["spec"]
        pod = job["template"]["spec"]
        container = pod["containers"][0]
        expect(cron["schedule"] == f"0 {hour} * * *", f"{where} is not scheduled at {hour}:00")
        expect(container["args"] == ["run", "--slot", slot], f"{where} runs another slot")
        expect(cron["concurrencyPolicy"] == "Forbid", f"{where} may run twice at the same time")
        expect(0 < cron["startingDeadlineSeconds"] <= 7200, f"{where} may start more than two hours late")
        zone = cron["timeZone"]
        expect(zone in zoneinfo.available_timezones(), f"{where}: the time zone {zone} does not exist")
        expect(job["activeDeadlineSeconds"] < hours_to_next(slot) * 3600, f"{where} may still run at the next slot")
        expect(pod["restartPolicy"] == "Never", f"{where}: a failed pod would be restarted, against the podFailurePolicy")
        expect(pod["terminationGracePeriodSeconds"] > WORKER_STOP_SECONDS, f"{where} is killed before it has stopped")
        first, *others = job["podFailurePolicy"]["rules"]
        expect(
            first == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
            f"{where}: the first rule must ignore pods of a drained node",
        )
        final = {
            code
            for rule in others
            if rule["action"] == "FailJob" and rule["onExitCodes"]["operator"] == "In"
            and rule["onExitCodes"]["containerName"] == container["name"]
            for code in rule["onExitCodes"]["values"]
        }
        expect(final == {2, 3, 4}, f"{where}: the exit codes without a retry are {sorted(final)} instead of [2, 3, 4]")


def check_api(documents, pods, name):
    by_kind = {}
    for document in documents:
        by_kind.setdefault(document["kind"], []).append(document)
    deployment = by_kind["Deployment"][0]
    pod = pods["Deployment/whoop-api"]
    labels, container = pod["metadata"]["labels"], pod["spec"]["containers"][0]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    expect(is_selected(deployment["spec"]["selector"]["matchLabels"], labels), f"{name}: the Deployment does not select its pods")
    expect("replicas" not in deployment["spec"], f"{name}: `replicas` would reset the autoscaler at each apply")
    for probe, path, port in (
        ("startupProbe", "/healthz", "operations"),
        ("livenessProbe", "/healthz", "operations"),
        ("readinessProbe", "/readyz", "http"),
    ):
        request = container[probe]["httpGet"]
        expect(request == {"path": path, "port": port} and port in ports, f"{name}: {probe} requests {request}")
    pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    grace = pod["spec"]["terminationGracePeriodSeconds"]
    expect(grace >= pause + API_STOP_SECONDS, f"{name}: the grace period of {grace} s is too short to stop")
    settings = by_kind["ConfigMap"][0]["data"]
    for setting, port in (("API_LISTEN", "http"), ("API_OPS_LISTEN", "operations")):
        expect(settings[setting].endswith(f":{ports[port]}"), f"{name}: {setting} differs from the container port {port}")

    service = by_kind["Service"][0]
    expect(is_selected(service["spec"]["selector"], labels), f"{name}: the Service selects no pod")
    expect(all(port["targetPort"] in ports for port in service["spec"]["ports"]), f"{name}: the Service leads to a port that does not exist")
    budget = by_kind["PodDisruptionBudget"][0]["spec"]
    expect(is_selected(budget["selector"]["matchLabels"], labels), f"{name}: the PodDisruptionBudget selects no pod")
    scaler = by_kind["HorizontalPodAutoscaler"][0]["spec"]
    target = {key: deployment[key] for key in ("apiVersion", "kind")} | {"name": deployment["metadata"]["name"]}
    expect(scaler["scaleTargetRef"] == target, f"{name}: the autoscaler does not name the Deployment")
    for monitor in by_kind.get("ServiceMonitor", []):
        selector = monitor["spec"]["selector"]["matchLabels"]
        expect(is_selected(selector, service["metadata"]["labels"]), f"{name}: the ServiceMonitor selects no Service")
        expect(all(e["port"] == "operations" for e in monitor["spec"]["endpoints"]), f"{name}: the ServiceMonitor scrapes the public port")
    for ingress in by_kind.get("Ingress", []):
        limits = ingress["metadata"]["annotations"]
        largest = limits["nginx.ingress.kubernetes.io/proxy-body-size"]
        expect(largest == "16k", f"{name}: the Ingress accepts bodies of {largest}")
        for path in (path for rule in ingress["spec"]["rules"] for path in rule["http"]["paths"]):
            backend = path["backend"]["service"]
            expect(backend["name"] == service["metadata"]["name"], f"{name}: the Ingress does not lead to the Service")
            expect(backend["port"] == {"name": "http"}, f"{name}: the Ingress leads to the port {backend['port']['name']}")

    policies = by_kind["NetworkPolicy"]
    reached = {
        port["port"]
        for policy in policies if policy["metadata"]["name"] == "whoop-api-from-ingress"
        for rule in policy["spec"]["ingress"]
        for port in rule["ports"]
    }
    expect(reached == {"http"}, f"{name}: an Ingress reaches the ports {', '.join(sorted(reached))}")
    closing = [p["spec"] for p in policies if "ingress" not in p["spec"] and "egress" not in p["spec"]]
    for where, pod in pods.items():
        closed = any(
            set(p["policyTypes"]) == {"Ingress", "Egress"}
            and is_selected(p["podSelector"].get("matchLabels", {}), pod["metadata"]["labels"])
            for p in closing
        )
        expect(closed, f"{name}: no network policy restricts {where}")


def check_kustomizations(folder):
    """Reports files that no kustomization names, and names without a file."""
    named = set()
    for path in folder.rglob("kustomization.yaml"):
        named.add(path.resolve())
        kustomization = yaml.safe_load(path.read_text())
        names = [*kustomization.get("resources", []), *kustomization.get("components", [])]
        names += [patch["path"] for patch in kustomization.get("patches", []) if "path" in patch]
        names += [name for generator in kustomization.get("configMapGenerator", []) for name in generator.get("envs", [])]
        for name in names:
            target = (path.parent / name).resolve()
            expect(target.exists(), f"{path}: {name} does not exist")
            named.add(target)
    for path in folder.rglob("*"):
        if path.suffix in (".yaml", ".yml", ".env"):
            expect(path.resolve() in named, f"{path} is in no kustomization")


def kubernetes(root, *rendered):
    """Checks that the parts of each overlay fit each other."""
    root = pathlib.Path(root)
    secrets = set(re.findall(r"`(whoop-[a-z-]+)`", (root / "docs/deploy.md").read_text()))
    from jsonschema import Draft202012Validator

    schema = json.loads(pathlib.Path(__file__).with_name("check-deploy.service-monitor.json").read_text())
    validator = Draft202012Validator(schema)
    for path in map(pathlib.Path, rendered):
        documents = read(path)
        kinds = [d["kind"] for d in documents]
        expect("Secret" not in kinds, f"{path.stem}: the repository contains a Secret")
        used = {d["metadata"].get("namespace") for d in documents if d["kind"] != "Namespace"}
        created = {d["metadata"]["name"] for d in documents if d["kind"] == "Namespace"}
        expect(used == created, f"{path.stem}: the namespaces {used} are used, but {created} are created")
        for document in documents:
            if document["kind"] == "ServiceMonitor":
                for error in validator.iter_errors(document):
                    errors.append(f"{path.stem}: ServiceMonitor: {error.json_path}: {error.message}")
            if document["kind"] == "CronJob":
                expect(document["spec"]["timeZone"] != "Etc/UTC", f"{path.stem}: no time zone was set")
        if errors:
            return
        pods = check_pods(documents, secrets, path.stem)
        check_runs(documents, path.stem)
        check_api(documents, pods, path.stem)
    monitored = [path for path in rendered if "kind: ServiceMonitor" in pathlib.Path(path).read_text()]
    expect(monitored, "no overlay has the ServiceMonitor")
    check_kustomizations(root / "deploy/kubernetes")


def kubernetes_core(path):
    """Prints the documents for which Kubernetes itself has a schema."""
    print(yaml.safe_dump_all(d for d in read(path) if d["apiVersion"] != "monitoring.coreos.com/v1"))


# Compose


def compose(path, settings):
    """Checks ports, files, limits, the hours of the slots, and which program gets which secret."""
    project = json.loads(pathlib.Path(path).read_text())
    services = project["services"]
    for name, service in services.items():
        for port in service.get("ports", []):
            expect(port.get("host_ip") == "127.0.0.1", f"{name}: port {port['published']} is open to the network")
        for volume in service.get("volumes", []):
            if volume["type"] == "bind":
                # Without DATABASE_CA, /dev/null is mounted instead of a certificate.
                expect(pathlib.Path(volume["source"]).exists(), f"{name}: {volume['source']} does not exist")
                expect(volume.get("read_only"), f"{name}: may write to {volume['source']}")
        expect(service.get("cap_drop") == ["ALL"] or "postgres" in name, f"{name} has capabilities")
        expect(service.get("mem_limit"), f"{name} has no memory limit")
        expect(service.get("pids_limit"), f"{name} has no limit of processes")
        expect(service.get("logging", {}).get("options", {}).get("max-size"), f"{name}: its log may fill the disk")
        if name.endswith("api"):
            expect(service.get("ulimits", {}).get("nofile") == 65536, f"{name}: the limit of open files is not 65536")
        if service["image"].startswith("whoop"):
            expect(service.get("read_only"), f"{name} may write to its root file system")
            expect("no-new-privileges:true" in service.get("security_opt", []), f"{name} may gain privileges")
        else:
            expect(re.search(r":v?\d", service["image"]), f"{name}: {service['image']} has no fixed version")

    for slot, hour in SLOTS.items():
        command = ["-H", str(hour), "/usr/local/bin/sync-worker", "run", "--slot", slot]
        expect(services[f"worker-{slot}"]["command"] == command, f"worker-{slot}: {services[f'worker-{slot}']['command']}")

    variables = {name: set(service.get("environment", {})) for name, service in services.items()}
    authentication = {"AUTH_JWT_SECRET", "AUTH_JWKS_URL", "AUTH_SERVICE_KEYS"}
    passwords = {"POSTGRES_PASSWORD", "OWNER_PASSWORD", "SERVING_PASSWORD"}
    keys = {"TOKEN_KEYS", "WHOOP_CLIENT_SECRET"}
    for name, given in variables.items():
        if not name.endswith("api"):
            expect(not given & authentication, f"{name} must not get {given & authentication}")
        if "postgres" not in name:
            expect(not given & passwords, f"{name} must not get {given & passwords}")
        if not name.endswith("api") and "worker" not in name:
            expect(not given & keys, f"{name} must not get {given & keys}")

    # Only the migration connects as the owner of the tables; all other programs as the serving role.
    secret = dict(re.findall(r"^(\w+_PASSWORD)=(\w+)$", pathlib.Path(settings).read_text(), re.M))
    for name, service in services.items():
        url = service.get("environment", {}).get("DATABASE_URL")
        if url and not name.startswith("sim-"):
            role = "owner" if name == "migrate" else "serve"
            password = secret["OWNER_PASSWORD" if name == "migrate" else "SERVING_PASSWORD"]
            expect(f"//whoop_{role}:{password}@" in url, f"{name} does not connect as whoop_{role}")


# The bare machine


def cron(path):
    """Checks that each line has the hour of its slot, and prints its command."""
    from cronsim import CronSim

    hours = {}
    for line in pathlib.Path(path).read_text().splitlines():
        if not re.match(r"[\d*]", line):
            continue
        *schedule, command = line.split(None, 5)
        expect("%" not in command, f"cron treats % as the end of the line: {line}")
        slot = re.search(r"sync-worker run --slot (\w+)", command)
        times = CronSim(" ".join(schedule), datetime(2026, 1, 1))
        first, second = next(times), next(times)
        expect(second - first == timedelta(days=1) and first.minute == 0, f"not once a day at a full hour: {line}")
        hours[slot and slot[1]] = first.hour
        print(command)
    expect(hours == SLOTS, f"the hours of the slots are {hours}")


def systemd(folder):
    """Checks the hours of the timers, and that the exit codes of a run are handled as in docs/deploy.md."""
    folder = pathlib.Path(folder)
    hours = {}
    for path in folder.glob("whoop-sync@*.timer"):
        text = path.read_text()
        hours[path.stem.partition("@")[2]] = int(re.search(r"^OnCalendar=\*-\*-\* (\d\d):00:00$", text, re.M)[1])
        expect("\nPersistent=true\n" in text, f"{path.name} without Persistent=true: a slot during which the machine is off would be lost")
    expect(hours == SLOTS, f"the hours of the slots are {hours}")
    expect("\nLimitNOFILE=65536\n" in (folder / "whoop-api.service").read_text(), "whoop-api.service without LimitNOFILE=65536")
    run = (folder / "whoop-sync@.service").read_text()
    for setting in ("SuccessExitStatus=4", "Restart=on-failure", "RestartPreventExitStatus=2 3",
                    "ExecStart=/usr/local/bin/sync-worker run --slot %i"):
        expect(f"\n{setting}\n" in run, f"whoop-sync@.service without {setting}")


# The image


def context(root):
    """Prints the paths that .dockerignore does not exclude, with Docker's own library."""
    from docker.utils import exclude_paths

    patterns = (pathlib.Path(root) / ".dockerignore").read_text().splitlines()
    patterns = [pattern for pattern in patterns if pattern and not pattern.startswith("#")]
    # Docker sends these two for itself; no COPY can read them.
    paths = exclude_paths(root, patterns) - {".dockerignore", "Dockerfile"}
    sys.stdout.write("".join(f"{path}\0" for path in sorted(paths)))


def sbom(path):
    """Checks that it is CycloneDX, and that every dependency is listed as a component."""
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    text = pathlib.Path(path).read_text()
    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    expect(error is None, f"{error}"[:500])
    document = json.loads(text)
    components = {c["bom-ref"]: c for c in document["components"]}
    known = components.keys() | {document["metadata"]["component"]["bom-ref"]}
    for dependency in document["dependencies"]:
        unknown = {dependency["ref"], *dependency["dependsOn"]} - known
        expect(not unknown, f"{dependency['ref']} depends on components that are not listed: {unknown}")
    for expected in ("pkg:cargo/actix-web@", "pkg:cargo/tokio-postgres@", "pkg:npm/uplot@"):
        expect(any(ref.startswith(expected) for ref in components), f"{expected}… is not listed")
    for ref, component in components.items():
        expect("hashes" in component or ref.startswith("pkg:cargo/whoop-"), f"{ref} has no hash")
        expect(component.get("licenses"), f"{ref} has no licence")
    print(f"{len(components)} components")


if __name__ == "__main__":
    checks = {"kubernetes": kubernetes, "kubernetes-core": kubernetes_core, "compose": compose,
              "cron": cron, "systemd": systemd, "context": context, "sbom": sbom}
    checks[sys.argv[1]](*sys.argv[2:])
    for line in errors:
        print(line, file=sys.stderr)
    sys.exit(1 if errors else 0)

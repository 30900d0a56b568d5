/* What waits in C: with the GIL, as a careless extension does, and without. */
#include <Python.h>
#include <unistd.h>

static PyObject *kept(PyObject *self, PyObject *arg) {
    usleep(60000);
    Py_RETURN_NONE;
}

static PyObject *given(PyObject *self, PyObject *arg) {
    Py_BEGIN_ALLOW_THREADS
    usleep(60000);
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"kept", kept, METH_NOARGS, ""}, {"given", given, METH_NOARGS, ""}, {0}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "holder", 0, -1, methods};
PyMODINIT_FUNC PyInit_holder(void) { return PyModule_Create(&module); }
